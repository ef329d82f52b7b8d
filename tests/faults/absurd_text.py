"""Texts of tables and configurations that nobody would write, and damages that fall on whatever is there."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

MILLION = 10**6
Damage = Callable[[str, random.Random], bytes]


def coco(box: object = (1, 1, 4, 5), **changed: object) -> bytes:
    content: dict[str, object] = {
        "images": [{"id": 0, "file_name": "a.png", "height": 8, "width": 8}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": box}],
        "categories": [{"id": 1, "name": "x"}],
    }
    return json.dumps(content | changed).encode()


def _voc(inner: str = "", before: str = "", name: str = "x") -> bytes:
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>6</ymax>"
    thing = f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"
    return f"{before}<annotation><filename>a.png</filename>{inner}{thing}</annotation>".encode()


_LAUGHS = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
_LAUGHS_YAML = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))
_HEAD = "num_classes: 2\nmethod: {name: supervised}\n"

# format, what it is, content
ABSURD: list[tuple[str, str, bytes]] = [
    ("CSV", "empty", b""),
    ("CSV", "only line ends", b"\n" * 100),
    ("CSV", "a header twice", b"path,label,weight,path\na.png,0,1,b.png\n"),
    ("CSV", "a field of 10^6 letters", b"path,label,weight\n" + b"x" * MILLION + b",0,1\n"),
    ("CSV", "10^5 columns", b"path,label,weight," + b",".join(b"%d" % n for n in range(10**5)) + b"\n"),
    ("CSV", "a quote that does not end", b'path,label,weight\n"a.png,0,1\n'),
    ("CSV", "NUL", b"path,label,weight\na.png\0,0,1\n"),
    ("CSV", "UTF-16", "path,label,weight\na.png,0,1\n".encode("utf-16")),
    ("CSV", "Latin-1", "path,label,weight\nä.png,0,1\n".encode("latin-1")),
    ("CSV", "two BOMs", b"\xef\xbb\xbf\xef\xbb\xbfpath,label,weight\na.png,0,1\n"),
    ("CSV", "a label of 5000 digits", b"path,label,weight\na.png," + b"9" * 5000 + b",1\n"),
    ("CSV", "a label above 2^63", b"path,label,weight\na.png,9223372036854775808,1\n"),
    ("CSV", "digits of another script", "path,label,weight\na.png,٣,1\n".encode()),
    ("CSV", "a weight of NaN", b"path,label,weight\na.png,0,nan\n"),
    ("CSV", "an endless path", b"path,label,weight\n" + b"../" * 30000 + b"a.png,0,1\n"),
    ("CSV of sources", "a climbing id", b"tile_id,image_path,mask_path\n../../x,a.png,b.png\n"),
    ("CSV of sources", "an id of NUL", b"tile_id,image_path,mask_path\n\0,a.png,b.png\n"),
    ("CSV of sources", "a path of NUL", b"tile_id,image_path,mask_path\na,a\0.png,b.png\n"),
    ("CSV of sources", "a path of 10^5 letters", b"tile_id,image_path,mask_path\na," + b"y" * 10**5 + b",b.png\n"),
    ("COCO", "nested 10^5 deep", b"[" * 10**5),
    ("COCO", "a number of 5000 digits", coco().replace(b'"id": 1', b'"id": ' + b"9" * 5000)),
    ("COCO", "NaN in a box", coco([float("nan"), 1, 2, 3])),
    ("COCO", "infinity in a box", coco([1, 1, float("inf"), 3])),
    ("COCO", "1e308 in a box", coco([1e308, 1, 1e308, 3])),
    ("COCO", "10^400 in a box", coco().replace(b"[1, 1, 4, 5]", b"[1, 1, 1" + b"0" * 400 + b", 5]")),
    ("COCO", "a box of texts", coco(["1", "1", "4", "5"])),
    ("COCO", "a negative box", coco([5, 5, -4, -4])),
    ("COCO", "true as an id", coco(images=[{"id": True, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}])),
    ("COCO", "an image of 10^30 pixels", coco(images=[{"id": 0, "file_name": "a.png", "height": 10**30, "width": 1}])),
    ("COCO", "ids of both kinds", coco(categories=[{"id": 1}, {"id": "1"}])),
    ("COCO", "a key twice", b'{"images": [], "images": 3, "categories": [], "annotations": []}'),
    ("COCO", "a BOM", b"\xef\xbb\xbf" + coco()),
    ("COCO", "UTF-16", coco().decode().encode("utf-16")),
    ("COCO", "half a surrogate", coco().replace(b'"x"', b'"\\ud800"')),
    ("COCO", "a file name that climbs", coco(images=[{"id": 0, "file_name": "../../../etc/passwd"}])),
    ("COCO", "a file name of NUL", coco(images=[{"id": 0, "file_name": "a\0.png"}])),
    ("VOC", "entities of entities", _voc(before=f'<!DOCTYPE x [<!ENTITY e0 "ha">{_LAUGHS}]>', name="&e9;")),
    ("VOC", "an entity of a file", _voc(before='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', name="&e;")),
    ("VOC", "an entity of the network", _voc(before='<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">')),
    ("VOC", "entities in UTF-16", _voc(before='<!DOCTYPE x [<!ENTITY e "x">]>', name="&e;").decode().encode("utf-16")),
    ("VOC", "entities in UTF-7", b'<?xml version="1.0" encoding="UTF-7"?>+ADw-!DOCTYPE x+AD4-' + _voc()),
    ("VOC", "nested 10^5 deep", _voc("<part>" * 10**5)),
    ("VOC", "a name of 10^6 letters", _voc(name="n" * MILLION)),
    ("VOC", "a size of 10^30", _voc(f"<size><width>1{'0' * 30}</width><height>8</height></size>")),
    ("VOC", "a size of 5000 digits", _voc(f"<size><width>{'9' * 5000}</width><height>8</height></size>")),
    ("VOC", "1e400 in a box", _voc().replace(b"<xmax>5", b"<xmax>1e400")),
    ("VOC", "NaN in a box", _voc().replace(b"<xmax>5", b"<xmax>nan")),
    ("VOC", "a file name that climbs", _voc().replace(b"a.png", b"../../etc/passwd")),
    ("VOC", "an unknown encoding", b'<?xml version="1.0" encoding="martian"?>' + _voc()),
    ("YAML", "a Python object", _HEAD.encode() + b"x: !!python/object/apply:os.system [touch entered]\n"),
    ("YAML", "an unknown tag", _HEAD.encode() + b"x: !secret y\n"),
    ("YAML", "aliases of aliases", _HEAD.encode() + b"x0: &x0 [lol]\n" + _LAUGHS_YAML.encode()),
    ("YAML", "an alias of itself", _HEAD.encode() + b"x: &x [*x]\n"),
    ("YAML", "nested 10^4 deep", b"x: " + b"[" * 10**4),
    ("YAML", "a key twice", _HEAD.encode() + b"num_classes: 3\n"),
    ("YAML", "a list", b"- 1\n- 2\n"),
    ("YAML", "two documents", _HEAD.encode() + b"---\n" + _HEAD.encode()),
    ("YAML", "NUL", _HEAD.encode() + b"seed: \0\n"),
    ("YAML", "UTF-16", _HEAD.encode("utf-16")),
    ("YAML", "a list as a key", _HEAD.encode() + b"? [1, 2]\n: 3\n"),
    ("YAML", "an interpolation of itself", _HEAD.encode() + b"output_dir: ${output_dir}\n"),
    ("YAML", "an unknown resolver", _HEAD.encode() + b"output_dir: ${os.system:ls}\n"),
    ("YAML", "an interpolation that does not end", _HEAD.encode() + b"output_dir: ${oc.env:HOME\n"),
    ("YAML", "defaults that climb", b"defaults: [../../../etc/passwd]\n"),
    ("YAML", "defaults of itself", b"defaults: [conf]\n"),
    ("YAML", "a text of 10^6 letters", _HEAD.encode() + b"seed: " + b"x" * MILLION + b"\n"),
    ("YAML", "a whole number of 10^4 digits", _HEAD.encode() + b"seed: " + b"9" * 10**4 + b"\n"),
]  # fmt: skip


def _encoded(text: str, rng: random.Random) -> bytes:
    return text.encode(
        rng.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7", "utf-8-sig"])
    )


def _flipped(text: str, rng: random.Random) -> bytes:
    content = bytearray(text.encode())
    for _ in range(rng.randrange(1, 6)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _cut(text: str, rng: random.Random) -> bytes:
    return text.encode()[: rng.randrange(len(text))]


def _missing(text: str, rng: random.Random) -> bytes:
    start = rng.randrange(len(text))
    return (text[:start] + text[start + rng.randrange(1, 30) :]).encode()


def _repeated(text: str, rng: random.Random) -> bytes:
    start = rng.randrange(len(text))
    end = start + rng.randrange(1, 60)
    return (text[:end] + text[start:end] * rng.randrange(1, 4) + text[end:]).encode()


def _strange(text: str, rng: random.Random) -> bytes:
    letter = rng.choice("\0\"'\r\n\t,;:&<>{}[]%!*@`#|\\$\x85\u2028\u202e\ufeff￿\x1b-" + "é")
    place = rng.randrange(len(text))
    return (text[:place] + letter * rng.choice([1, 1, 2, 50]) + text[place:]).encode()


_NUMBERS = ["-1", "0", "1e999", "-0.0", "NaN", "Infinity", "null", "true", '"x"', "99999999999999999999", "[]", "", "0x10",
            "1_000", "9" * 4500, "1e-400", "2147483648"]  # fmt: skip


def _number(text: str, rng: random.Random) -> bytes:
    found = rng.choice(list(re.finditer(r"\d+(\.\d+)?|\w+", text)))
    return (text[: found.start()] + rng.choice(_NUMBERS) + text[found.end() :]).encode()


def _long(text: str, rng: random.Random) -> bytes:
    place = rng.randrange(len(text))
    return (text[:place] + rng.choice("x9 ,[<") * MILLION + text[place:]).encode()


def _swapped(text: str, rng: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    rng.shuffle(lines)
    return "".join(lines).encode()


DAMAGES: dict[str, Damage] = {
    "another encoding": _encoded,
    "bits flipped": _flipped,
    "cut off": _cut,
    "a part missing": _missing,
    "a part repeated": _repeated,
    "a strange letter": _strange,
    "another number": _number,
    "10^6 letters more": _long,
    "lines shuffled": _swapped,
}
