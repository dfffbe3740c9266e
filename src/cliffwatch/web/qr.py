"""A QR code of a short text as SVG path data: ISO/IEC 18004, byte mode, error correction M, versions 1 to 10. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cliffwatch.errors import InvalidInput

QUIET = 4  # modules of white around it (ISO/IEC 18004, 6.3.8)

# Version -> (check bytes per block, blocks, all codewords), level M: tables 1 and 9 of the standard.
_SIZES = {
    1: (10, 1, 26),
    2: (16, 1, 44),
    3: (26, 1, 70),
    4: (18, 2, 100),
    5: (24, 2, 134),
    6: (16, 4, 172),
    7: (18, 4, 196),
    8: (22, 4, 242),
    9: (22, 5, 292),
    10: (26, 5, 346),
}
_ALIGNMENT = {
    1: (),
    2: (6, 18),
    3: (6, 22),
    4: (6, 26),
    5: (6, 30),
    6: (6, 34),
    7: (6, 22, 38),
    8: (6, 24, 42),
    9: (6, 26, 46),
    10: (6, 28, 50),
}
_LEVEL_M = 0b00
_MASK = 0  # rows and columns alternate; readers take the mask from the format bits

Grid = list[list[bool | None]]


@dataclass(frozen=True, slots=True)
class QrCode:
    """`size` is the width with the white around it, in modules; `path` draws the dark ones, each 1 by 1."""

    size: int
    path: str


def qr_code(text: str) -> QrCode:
    """Raises InvalidInput for more than 213 bytes."""
    grid = modules(text.encode())
    cells = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(grid) for x, dark in enumerate(row) if dark
    )
    return QrCode(len(grid) + 2 * QUIET, cells)


def modules(data: bytes) -> list[list[bool]]:
    """Rows of modules, True where dark."""
    version = next((v for v in _SIZES if len(data) <= _room(v)), None)
    if version is None:
        raise InvalidInput("QR code", f"holds at most {_room(10)} bytes.", "Copy the text instead.")
    size = 17 + 4 * version
    grid: Grid = [[None] * size for _ in range(size)]
    _draw_fixed(grid, version)
    bits = [bool(byte >> shift & 1) for byte in _codewords(data, version) for shift in range(7, -1, -1)]
    _draw_data(grid, bits)
    return [[bool(dark) for dark in row] for row in grid]


def _room(version: int) -> int:
    check, blocks, total = _SIZES[version]
    return total - check * blocks - (2 if version < 10 else 3)


def _codewords(data: bytes, version: int) -> bytes:
    """Data and check bytes, interleaved block by block."""
    check, blocks, total = _SIZES[version]
    room = total - check * blocks
    bits = f"0100{len(data):0{8 if version < 10 else 16}b}" + "".join(f"{byte:08b}" for byte in data)
    bits += "0" * min(4, room * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    filled = int(bits, 2).to_bytes(len(bits) // 8, "big")
    filled += (b"\xec\x11" * room)[: room - len(filled)]
    short, long_ones = divmod(room, blocks)
    parts, at = [], 0
    for number in range(blocks):
        length = short + (number >= blocks - long_ones)
        parts.append(filled[at : at + length])
        at += length
    checks = [_check_bytes(part, check) for part in parts]
    mixed = [part[i] for i in range(short + 1) for part in parts if i < len(part)]
    return bytes(mixed + [one[i] for i in range(check) for one in checks])


def _check_bytes(data: bytes, count: int) -> bytes:
    """The Reed-Solomon remainder over GF(256) with the polynomial 0x11D."""
    divisor, root = [0] * (count - 1) + [1], 1
    for _ in range(count):
        for i in range(count):
            divisor[i] = _times(divisor[i], root) ^ (divisor[i + 1] if i + 1 < count else 0)
        root = _times(root, 2)
    rest = [0] * count
    for byte in data:
        factor = byte ^ rest.pop(0)
        rest.append(0)
        rest = [have ^ _times(part, factor) for have, part in zip(rest, divisor, strict=True)]
    return bytes(rest)


def _times(a: int, b: int) -> int:
    product = 0
    for shift in range(7, -1, -1):
        product = product << 1 ^ (product >> 7) * 0x11D
        product ^= (b >> shift & 1) * a
    return product


def _draw_fixed(grid: Grid, version: int) -> None:
    """Finders, timing, alignment, format and version: everything that is not data."""
    size = len(grid)
    for i in range(size):
        grid[6][i] = grid[i][6] = i % 2 == 0
    for x, y in ((3, 3), (size - 4, 3), (3, size - 4)):
        for dy in range(-4, 5):
            for dx in range(-4, 5):
                if 0 <= x + dx < size and 0 <= y + dy < size:
                    grid[y + dy][x + dx] = max(abs(dx), abs(dy)) not in (2, 4)
    places = _ALIGNMENT[version]
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    for x in places:
        for y in places:
            if (x, y) not in corners:
                for dy in range(-2, 3):
                    for dx in range(-2, 3):
                        grid[y + dy][x + dx] = max(abs(dx), abs(dy)) != 1
    _draw_format(grid)
    if version >= 7:
        rest = version
        for _ in range(12):
            rest = rest << 1 ^ (rest >> 11) * 0x1F25
        for i in range(18):
            dark = bool((version << 12 | rest) >> i & 1)
            grid[i // 3][size - 11 + i % 3] = grid[size - 11 + i % 3][i // 3] = dark


def _draw_format(grid: Grid) -> None:
    size, data = len(grid), _LEVEL_M << 3 | _MASK
    rest = data
    for _ in range(10):
        rest = rest << 1 ^ (rest >> 9) * 0x537
    bits = (data << 10 | rest) ^ 0x5412
    first = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
    second = [(size - 1 - i, 8) for i in range(8)] + [(8, size - 15 + i) for i in range(8, 15)]
    for i in range(15):
        for x, y in (first[i], second[i]):
            grid[y][x] = bool(bits >> i & 1)
    grid[size - 8][8] = True


def _draw_data(grid: Grid, bits: list[bool]) -> None:
    """Two columns at a time, from the right, up and down in turn; what is left over stays light."""
    following = iter(bits)
    for x, y in list(_free(grid)):
        grid[y][x] = next(following, False) ^ ((x + y) % 2 == 0)


def _free(grid: Grid) -> Iterator[tuple[int, int]]:
    size = len(grid)
    for right in range(size - 1, 0, -2):
        column = right if right > 6 else right - 1  # the vertical timing pattern is left out
        upward = (size - 1 - right) // 2 % 2 == 0
        for step in range(size):
            y = size - 1 - step if upward else step
            for x in (column, column - 1):
                if grid[y][x] is None:
                    yield x, y
