"""Runs many cases in a process of limited time and memory, and tells which case it died of.

``python -m tests.fuzz.worker RECORD FUNCTION`` reads cases as JSON from its input; :func:`run_cases` starts it, anew after each death.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from amp_tf.errors import AmpTFError

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS, BYTES = 30.0, 2 << 30
"""What a case, and the process that runs it, may take."""

ANEW = 75
"""The exit status of the process when it has told of a case but cannot go on."""

REFUSED = "refused"
"""The verdict on a case that ends with an error that amp_tf raises on purpose, in one sentence."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        case: the arguments of the function.
        verdict: :data:`REFUSED`, what the function returned, or what went wrong.
        detail: in words.
        seconds: that it took.
    """

    case: list
    verdict: str
    detail: str
    seconds: float


def run_cases(function: str, cases: Sequence[Sequence], seconds: float = SECONDS, n_bytes: int = BYTES) -> list[Outcome]:
    """Call ``function`` (``module:name``) for each of ``cases`` (its arguments, plain values) in a process of its own.

    Args:
        function: returns its verdict and details in words, or raises.
        cases: what it is called with.
        seconds: that a case may take; the process is ended after them.
        n_bytes: of memory that the process may take.
    """
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record")
        environment = os.environ | {
            "PYTHONWARNINGS": "ignore",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TMPDIR": folder,
            "MALLOC_PERTURB_": "85",  # glibc fills fresh memory with this, so that what reads it before it is set shows
        }
        while len(outcomes) < len(cases):
            record.write_text("")
            left = [list(case) for case in cases[len(outcomes) :]]
            ended = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.worker", str(record), function, str(seconds), str(n_bytes)],
                input=json.dumps(left).encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=environment, check=False,
            )  # fmt: skip
            told = [Outcome(**json.loads(line)) for line in record.read_text().splitlines()]
            outcomes += told
            if len(told) < len(left) and ended.returncode != ANEW:
                reason = "longer than allowed" if ended.returncode == -signal.SIGALRM else f"died, exit status {ended.returncode}"
                last_words = ended.stderr.decode(errors="replace")[-1000:]
                outcomes.append(Outcome(left[len(told)], reason, last_words, seconds))
    return outcomes


def failures(outcomes: Sequence[Outcome], accepted: Sequence[str]) -> str:
    """A line for each outcome that is neither refused nor one of ``accepted``."""
    wrong = [outcome for outcome in outcomes if outcome.verdict not in (REFUSED, *accepted)]
    return "\n".join(f"{outcome.case}: {outcome.verdict}: {outcome.detail}" for outcome in wrong)


def is_one_sentence(text: str) -> bool:
    """Whether an error is told as amp_tf does."""
    return bool(text.strip()) and "\n" not in text.strip() and "Traceback" not in text and len(text) < 2000


def main(record: str, function: str, seconds: str, n_bytes: str) -> None:
    """What the process does."""
    module, _, name = function.partition(":")
    call = getattr(import_module(module), name)
    warnings.simplefilter("ignore")
    cases = json.load(sys.stdin)
    _limit_memory(int(n_bytes))
    with open(record, "a") as file:
        for case in cases:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the process, whatever library the case hangs in
            signal.setitimer(signal.ITIMER_REAL, float(seconds))
            start = time.monotonic()
            verdict, detail = _verdict(call, case)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            if (peak := _held("VmHWM")) > int(n_bytes):
                verdict, detail = "too much memory", f"{peak / 1e9:.1f} GB"
            outcome = {"case": case, "verdict": verdict, "detail": detail, "seconds": time.monotonic() - start}
            file.write(json.dumps(outcome) + "\n")
            file.flush()
            if peak > int(n_bytes):  # which never falls
                os._exit(ANEW)


def _limit_memory(n_bytes: int) -> None:
    """Let the process grow to ``n_bytes``: it may map what it lacks of them."""
    resource.setrlimit(resource.RLIMIT_AS, (_held("VmSize") - _held("VmRSS") + n_bytes, resource.RLIM_INFINITY))


def _held(key: str) -> int:
    """Bytes of this process as the kernel counts them (the peak of ``getrusage`` is also that of the process that started it)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[key].split()[0]) << 10


def _verdict(call, case: list) -> tuple[str, str]:
    try:
        return call(*case)
    except AmpTFError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                return "too much memory", str(error)
            cause = cause.__cause__ or cause.__context__
        verdict = REFUSED if is_one_sentence(str(error)) else "no sentence"
        return verdict, f"{getattr(error, 'damage', '')} | {error}"
    except BaseException as error:
        return f"traceback of {type(error).__name__}", f"{getattr(error, 'damage', '')} | {traceback.format_exc()[-1500:]}"


if __name__ == "__main__":
    main(*sys.argv[1:])
