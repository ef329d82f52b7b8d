"""Files on the web, of which only the bytes that are asked for are fetched."""

from __future__ import annotations

import http.client
import io
import re
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

from coteach.rasters.aef.retry import ReadFailedError, Retry

_TIMEOUT = 60  # seconds without a byte
_CONTENT_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")


class HttpFile(io.RawIOBase):
    """A file on a server that answers byte ranges, for reading at any place.

    Args:
        url: its address, ``http://`` or ``https://``.
        retry: how often a request is tried.

    Raises:
        DataUnavailableError: it cannot be read, or the server gives no ranges.
    """

    def __init__(self, url: str, retry: Retry) -> None:
        super().__init__()
        self._url, self._retry, self._position = url, retry, 0
        self._size = retry.call(self._ask_size)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The byte to be read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the bytes from here on; fewer at the end of the file.

        Raises:
            DataUnavailableError: they cannot be read.
        """
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self._size)
        if stop <= self._position:
            return 0
        content = self._retry.call(lambda: self._fetch(self._position, stop))
        view[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _ask_size(self) -> int:
        _, headers = fetch(self._url, (0, 1))
        total = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if total is None:
            raise ReadFailedError(self._url, "the server gives whole files only", 200)
        return int(total[1])

    def _fetch(self, start: int, stop: int) -> bytes:
        content, headers = fetch(self._url, (start, stop))
        if not headers.get("Content-Range", "").endswith(f"/{self._size}"):
            raise ReadFailedError(self._url, "it has changed while it was read", 200)
        return content


def fetch(url: str, part: tuple[int, int] | None = None) -> tuple[bytes, Message]:
    """What a server answers, once.

    Args:
        url: the address.
        part: first byte, and the one after the last; None fetches all.

    Returns:
        Content and headers.

    Raises:
        ReadFailedError: it does not, or only half of it.
    """
    headers = {"User-Agent": "coteach"}
    if part is not None:
        headers["Range"] = f"bytes={part[0]}-{part[1] - 1}"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- http and https only, see is_url
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            # a server without ranges would send all of a large file
            whole = part is not None and answer.status != http.client.PARTIAL_CONTENT
            content: bytes = b"" if whole else answer.read()
            found: Message = answer.headers
    except urllib.error.HTTPError as error:
        raise ReadFailedError(url, f"HTTP {error.code} {error.reason}", error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise ReadFailedError(url, str(error) or type(error).__name__) from error
    if part is not None and not whole and len(content) != part[1] - part[0]:
        raise ReadFailedError(url, f"{len(content)} of {part[1] - part[0]} bytes came")
    return content, found
