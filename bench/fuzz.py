"""Minutes of inputs that nobody thought of, for everything that reads what strangers and members write.

    python bench/fuzz.py [--seconds 60] [--seed 1] [TARGET ...]

Each target is a property test of the suite, which makes a hundred or so inputs there and is driven here by bytes for as
long as it is given: by random ones, and by changing those that got far before. A row is a target; an input that breaks
its property is kept in the row, with the error, and the command ends with 1. There is no peer to compare with: the
figure is how many inputs it stood.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.api import test_api_lists
from tests.config import test_config_read
from tests.connections import test_connections_any_csv
from tests.engage import test_engage_language
from tests.ingest import test_ingest_scanner
from tests.spec import test_spec_decode, test_spec_fql, test_spec_quick

TARGETS: dict[str, Callable[..., None]] = {
    "FQL": test_spec_fql.test_any_text_is_a_filter_or_a_clear_error,
    "Engage query": test_engage_language.test_any_text_is_a_query_or_a_clear_error,
    "CSV upload": test_connections_any_csv.test_any_file_gives_messages_that_can_be_read_or_a_clear_error,
    "batch scanner": test_ingest_scanner.test_any_bytes_have_elements_or_none,
    "batch, short and long way": test_spec_quick.test_a_batch_gives_what_the_long_way_gives,
    "broken bytes, both ways": test_spec_quick.test_bytes_gone_wrong_give_what_the_long_way_gives,
    "JSON of an event": test_spec_decode.test_sound_json_comes_through_unchanged,
    "config YAML, text": test_config_read.test_any_text_is_a_document_or_a_clear_error,
    "config YAML, values": test_config_read.test_any_values_in_its_sections_are_a_document_or_a_clear_error,
    "cursor of a list": test_api_lists.test_any_other_text_is_refused_as_a_cursor_and_breaks_nothing,
}
KEPT = 500  # inputs that are changed again
console = Console(width=110)


@dataclass
class Result:
    name: str
    inputs: int = 0
    whole: int = 0
    broken: dict[str, bytes] = field(default_factory=dict)  # the error's last line -> the first bytes that led to it
    seconds: float = 0.0


def fuzz(name: str, test: Any, seconds: float, seed: int) -> Result:
    """Drive one property for `seconds` of this process's time."""
    chance, result, pool = random.Random(seed), Result(name), [b""]
    one = test.hypothesis.fuzz_one_input
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        data = changed(chance, chance.choice(pool)) if chance.random() < 0.7 else chance.randbytes(size(chance))
        result.inputs += 1
        try:
            used = one(data)
        except Exception as error:  # noqa: BLE001 - whatever a property raises is what is looked for
            result.broken.setdefault(traceback.format_exception_only(error)[-1].strip()[:200], data)
            continue
        if used is not None:  # the property was tried with it, and held
            result.whole += 1
            if len(pool) < KEPT:
                pool.append(used)
            else:
                pool[chance.randrange(KEPT)] = used
    result.seconds = spent
    return result


def size(chance: random.Random) -> int:
    return int(2 ** chance.uniform(2, 13))


def changed(chance: random.Random, data: bytes) -> bytes:
    """The bytes with a few of them replaced, taken out, doubled, or more put behind."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        step = chance.randrange(4)
        if step == 0 and at < len(found):
            found[at] = chance.randrange(256)
        elif step == 1:
            del found[at : at + chance.randint(1, 8)]
        elif step == 2:
            found[at:at] = found[at : at + chance.randint(1, 16)]
        else:
            found += chance.randbytes(chance.randint(1, 64))
    return bytes(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"some of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60, help="CPU time for each target")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    table = Table("parser", "inputs", "of them tried", "CPU s", "broken", title=f"Fuzzing, seed {given.seed}")
    found = []
    for name in given.targets or TARGETS:
        result = fuzz(name, TARGETS[name], given.seconds, given.seed)
        found.append(result)
        said = "\n".join(result.broken) or "none"
        table.add_row(name, f"{result.inputs:,}", f"{result.whole:,}", f"{result.seconds:.0f}", said)
    console.print(table)
    for result in found:
        for error, data in result.broken.items():
            console.print(f"{result.name}: {error}\n  {data!r}", highlight=False)
    return 1 if any(result.broken for result in found) else 0


if __name__ == "__main__":
    sys.exit(main())
