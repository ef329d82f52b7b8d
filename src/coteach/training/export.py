"""A trained method -> one file that predicts without coteach, and the proof that it predicts the same."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from coteach.errors import MissingExtraError, OptionError, TrainingError
from coteach.files import whole_file
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod

Format = Literal["onnx", "torch-export"]
Run = Callable[[Tensor], Tensor]
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_ABOUT = "coteach.json"  # what the file says of itself
_AXES = ("batch", "bands", "height", "width")


class Predictor(nn.Module):
    """The networks that a method predicts with: scaled images -> class probabilities.

    Args:
        method: trained.
    """

    def __init__(self, method: LabelMethod) -> None:
        super().__init__()
        self.networks = nn.ModuleList(method.networks[name] for name in method.predicting)

    def forward(self, image: Float[Tensor, "b bands h w"]) -> Float[Tensor, "b c *s"]:
        """The mean over the networks, as ``LabelMethod.predict`` gives it."""
        return torch.stack([network(image).float().softmax(1) for network in self.networks]).mean(0)


@dataclass(frozen=True, slots=True)
class Exported:
    """What came out.

    Args:
        path: the file.
        axes: of what it takes, ``batch``, ``bands``, ``height``, ``width``: a number where it is fixed, else None.
        checked: shapes of the images it was tried with.
        difference: the largest absolute difference of a probability between it and the method.
    """

    path: Path
    axes: Mapping[str, int | None]
    checked: tuple[tuple[int, ...], ...]
    difference: float


def export_method(
    method: Method,
    path: Path,
    file_format: Format,
    *,
    num_bands: int,
    size: int,
    tolerance: float = 1e-4,
    about: Mapping[str, Any] | None = None,
) -> Exported:
    """Write a method's prediction into a file, read it back, and compare it with the method on random images.

    The batch, height and width are free where the network allows. The images are what the network was shown in
    training: scaled, and after a ``Normalize``.

    Args:
        method: trained; of labels.
        path: the file; written only if it predicts the same.
        file_format: ``onnx`` or ``torch-export``.
        num_bands: of the images.
        size: side of the images to try it with, in pixels.
        tolerance: the largest difference of a probability that is no fault.
        about: plain data to be kept in the file.

    Raises:
        MissingExtraError: the packages for ONNX are not installed.
        OptionError: the method gives no class probabilities.
        TrainingError: the network cannot be exported, or the file predicts something else; then nothing is written.
    """
    _require(file_format)
    if not isinstance(method, LabelMethod):
        raise OptionError("method", f"{method.name} does not predict classes", "export a method for labels")
    exporting = _Exporting(Predictor(method).cpu().eval(), path, file_format, tolerance, dict(about or {}))
    example = torch.rand(2, num_bands, size, size)
    try:
        return exporting.write(example)
    except (TrainingError, OSError):
        raise
    except Exception as error:
        cause = f"the network cannot be exported: {_first_line(error)}"
        raise TrainingError(str(path), cause, "try the other --format, or another --size") from error


@dataclass(frozen=True)
class _Exporting:
    predictor: Predictor
    path: Path
    file_format: Format
    tolerance: float
    about: Mapping[str, Any]

    def write(self, example: Tensor) -> Exported:
        """For images of any size, else for those of this one: a layer may see a single pixel there, which fixes the graph."""
        try:
            return self._write(example, ("batch", "height", "width"))
        except (TrainingError, OSError):
            raise
        except Exception:  # noqa: BLE001 -- torch has no one class for what it cannot export
            return self._write(example, ("batch",))

    def _write(self, example: Tensor, free: Collection[str]) -> Exported:
        """Write and try it, with these axes free unless the network fixes them."""
        program = _trace(self.predictor, example, free)
        axes = _axes(program)
        shapes = _shapes(axes, *example.shape[1:3])
        with whole_file(self.path) as partial:
            run = _WRITERS[self.file_format](program, partial, json.dumps(self.about))
            difference = max(_difference(self.predictor, run, shape) for shape in shapes)
            _refuse_another(self.path, difference, self.tolerance)
        return Exported(self.path, axes, shapes, difference)


def _require(file_format: Format) -> None:
    if file_format == "onnx":
        for name in _ONNX_PACKAGES:
            if find_spec(name) is None:
                raise MissingExtraError(
                    "--format onnx", f"{name} is not installed", "pip install 'coteach[export]'"
                )


def _refuse_another(path: Path, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:  # written so that NaN is refused, too
        cause = f"its probabilities differ from the model's by up to {difference:.2g}"
        raise TrainingError(
            str(path), cause, "try the other --format, or a larger --tolerance if that will do"
        )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _trace(predictor: Predictor, example: Tensor, free: Collection[str]) -> ExportedProgram:
    axes = {_AXES.index(axis): Dim.AUTO for axis in free}
    with torch.no_grad():
        return torch.export.export(predictor, (example,), dynamic_shapes={"image": axes})


def _axes(program: ExportedProgram) -> dict[str, int | None]:
    taken = [node for node in program.graph.nodes if node.op == "placeholder"][-1].meta["val"].shape
    # an axis that the network fixed is a symbol still, whose name is the number
    sizes = (int(str(one)) if str(one).isdigit() else None for one in taken)
    return dict(zip(_AXES, sizes, strict=True))


def _shapes(free: Mapping[str, int | None], num_bands: int, size: int) -> tuple[tuple[int, ...], ...]:
    """What to try: the size that was traced, and others where the axes are free."""
    batches = (2,) if free["batch"] is not None else (2, 1)
    height = size if free["height"] is not None else 2 * size
    width = size if free["width"] is not None else 3 * size
    return (*((batch, num_bands, size, size) for batch in batches), (batches[-1], num_bands, height, width))


def _difference(predictor: Predictor, run: Run, shape: Sequence[int]) -> float:
    image = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float((run(image) - predictor(image)).abs().max())


def _write_torch(program: ExportedProgram, path: Path, about: str) -> Run:
    # through memory: torch wants its own ending, which a file that is being written does not have
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={_ABOUT: about})
    path.write_bytes(content.getvalue())
    return torch.export.load(io.BytesIO(path.read_bytes())).module()


def _write_onnx(program: ExportedProgram, path: Path, about: str) -> Run:
    import onnxruntime

    made = torch.onnx.export(
        program, input_names=["image"], output_names=["probabilities"], dynamo=True, verbose=False
    )
    assert made is not None
    made.model.metadata_props[_ABOUT] = about
    made.save(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


_WRITERS: dict[Format, Callable[[ExportedProgram, Path, str], Run]] = {
    "onnx": _write_onnx,
    "torch-export": _write_torch,
}
