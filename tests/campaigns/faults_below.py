"""Faults from below: failing calls of the system, no memory, jumps of the clock, signals, kills.

A library that is loaded before all others makes one call of a kind fail, in photos, a clip and a
training run. After each case, every output is complete or missing, a problem is reported in a
sentence, and the same command, given again, finishes the work. From the root of the repository
(Linux with glibc, and a C compiler):

    PYTHONPATH=tests python -m campaigns.faults_below FOLDER [--each 40] [--seed 1] [--only NAME]

`--each` is the largest number of cases for a kind of call in a scenario. A second run into the same
folder continues; `results.jsonl` has a line for each case. Scenarios may run at the same time.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import faulthandler
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaigns.damage import QuickCommandLine, call_main
from campaigns.watchdog import CPU_LIMIT_S, WAIT_LIMIT_S, is_asleep

if TYPE_CHECKING:
    from campaigns.fault_scenarios import Scenario

INJECTOR = Path(__file__).with_name("fault_injector.c")
ONCE, STICKY, SIGNAL, CLOCK = range(4)
"""Modes of the injector."""
DISK = (errno.ENOSPC, errno.EIO)
FAULTS: dict[str, tuple[tuple[int, int], ...]] = {
    "create": (
        *[(ONCE, e) for e in (errno.EACCES, errno.EMFILE, *DISK)],
        (STICKY, errno.EROFS),
    ),
    "open": ((ONCE, errno.EACCES), (ONCE, errno.EIO), (ONCE, errno.EMFILE)),
    "write": (*[(ONCE, e) for e in DISK], (STICKY, errno.ENOSPC), (STICKY, errno.EDQUOT)),
    "read": ((ONCE, errno.EIO), (STICKY, errno.EIO)),
    "fsync": (*[(ONCE, e) for e in DISK], (ONCE, errno.EINVAL)),
    "rename": ((ONCE, errno.EACCES), (ONCE, errno.EIO), (STICKY, errno.EROFS)),
    "link": ((ONCE, errno.EPERM), (ONCE, errno.EIO), (STICKY, errno.EPERM)),
    "unlink": ((ONCE, errno.EACCES), (STICKY, errno.EROFS)),
    "mkdir": ((ONCE, errno.EACCES), (ONCE, errno.ENOSPC)),
    "memory": ((ONCE, errno.ENOMEM), (STICKY, errno.ENOMEM)),
    "clock": ((CLOCK, 10 * 365 * 86400), (CLOCK, -10 * 365 * 86400)),
    "wait": ((SIGNAL, signal.SIGINT),),
}
"""(mode, number) of each kind of call."""
KILL = "kill"
"""Kind of the cases that end the process at a random moment."""
STEP_S = 0.01
BAD = ("lost", "crashed", "hung")


@dataclass(frozen=True)
class Fault:
    """One fault: at which call of a kind, and what happens."""

    scenario: str
    call: str
    first: int
    mode: int
    number: int
    """Error, signal, or seconds; milliseconds of the processor before a kill."""


class Injector:
    """The preloaded library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.fault_count.restype = ctypes.c_long

    def arm(self, fault: Fault, prefix: Path) -> None:
        self._library.fault_arm(
            fault.call.encode(),
            ctypes.c_long(fault.first),
            fault.mode,
            ctypes.c_long(fault.number),
            str(prefix).encode(),
        )

    def disarm(self) -> dict[str, int]:
        """Return the number of calls of each kind."""
        self._library.fault_disarm()
        return {call: int(self._library.fault_count(call.encode())) for call in FAULTS}


def plan_faults(scenario: Scenario, folder: Path, *, each: int, seed: int) -> Iterator[Fault]:
    """Yield the faults of a scenario: every call of each kind, or `each` of them."""
    rng = random.Random(f"{seed} {scenario.name}")
    ended = run_child(scenario, Fault(scenario.name, "write", 0, ONCE, 0), folder)
    calls, duration_ms = ended["calls"], int(1000 * ended["cpu_s"])
    for call in (name for name in FAULTS if name in scenario.calls):
        places = range(1, calls[call] + 1)
        choices = [(place, fault) for place in places for fault in FAULTS[call]]
        for place, (mode, number) in rng.sample(choices, min(each, len(choices))):
            yield Fault(scenario.name, call, place, mode, number)
    for place in range(1, each + 1) if KILL in scenario.calls else ():
        yield Fault(scenario.name, KILL, place, ONCE, rng.randrange(duration_ms))


@cache
def command_line() -> QuickCommandLine:
    """Return the command line that all forks share."""
    return QuickCommandLine()


def run_child(scenario: Scenario, fault: Fault, folder: Path, **options: Any) -> dict[str, Any]:
    """Run the command of a scenario in a fork of this process; return how it ended.

    Without `is_again`, the work folder is new.
    """
    work = folder / f"work-{scenario.name}"
    if not options.get("is_again"):
        shutil.rmtree(work, ignore_errors=True)
        scenario.prepare(folder / "sources", work)
    answer, log = (folder / f"{name}-{scenario.name}" for name in ("answer", "stderr"))
    answer.unlink(missing_ok=True)
    log.write_text("")
    command_line().parse(scenario.command(work))  # once: the forks share it
    child = os.fork()
    if child == 0:
        _run_command(scenario, fault, work, answer, log)
    is_kill = fault.call == KILL
    limit_s = fault.number / 1000 if is_kill else CPU_LIMIT_S
    cpu_s = waited_s = 0.0
    while (waited := os.waitpid(child, os.WNOHANG)) == (0, 0):
        before_s, cpu_s = cpu_s, time.clock_gettime(_processor_clock(child))
        if cpu_s >= limit_s or waited_s >= WAIT_LIMIT_S:
            if not (is_killed := is_kill and cpu_s >= limit_s):
                os.kill(child, signal.SIGABRT)  # prints the threads
                time.sleep(1)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            ending = "killed" if is_killed else "hung"
            return {"ending": ending, "stderr": log.read_text(errors="replace")}
        time.sleep(STEP_S)
        waited_s += STEP_S if cpu_s == before_s and is_asleep(child) else 0
    stderr = log.read_text(errors="replace")
    if not answer.exists():
        code = os.waitstatus_to_exitcode(waited[1])
        return {"ending": "died", "error": f"no answer, exit code {code}", "stderr": stderr}
    return {**json.loads(answer.read_text()), "stderr": stderr, "cpu_s": cpu_s}


def _processor_clock(pid: int) -> int:
    """Return the clock of the processor time of a process: `clock_getcpuclockid` of Linux."""
    return (~pid << 3) | 2


def _run_command(scenario: Scenario, fault: Fault, work: Path, answer: Path, log: Path) -> None:
    """Run the command; write its ending to `answer`, and end this process."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 2)
        faulthandler.enable()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        injector = Injector()
        arguments = scenario.command(work)
        if fault.call not in {KILL, "none"}:
            injector.arm(fault, work)
        try:
            with command_line().replaced():
                code, error = call_main(arguments, b"")
        except KeyboardInterrupt:  # before or after the command line
            code, error = 130, ""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it may arrive after the command has ended
        calls = {} if fault.call in {KILL, "none"} else injector.disarm()
        sys.stderr.flush()
        values = {"ending": code, "error": error, "calls": calls}
        if fault.first == 0:
            values["modules"] = list(sys.modules)
        answer.write_text(json.dumps(values))
    finally:
        os._exit(0)


def run_case(scenario: Scenario, fault: Fault, folder: Path) -> tuple[str, list[str]]:
    """Return the status of a case and the reasons for it."""
    work = folder / f"work-{scenario.name}"
    ended = run_child(scenario, fault, folder)
    lines = [line for line in ended["stderr"].splitlines() if line.strip()]
    ending = ended["ending"]
    if ending == 0 and fault.mode == SIGNAL and "stopped by a signal" in ended["stderr"]:
        ending = 130  # training saves its state and ends without an error
    if ending == "hung":
        return "hung", lines
    if ending == "died" or ending is None or "bug in derain" in ended["stderr"]:
        return "crashed", [ended.get("error", ""), *lines[-5:]]
    problems = [f"incomplete: {name}" for name in scenario.find_incomplete(work)]
    is_done = not scenario.find_missing(work)
    temporaries = [path.name for path in work.rglob(".derain-*")]
    may_leave = ending == "killed" or fault.call == "unlink" or fault.mode == STICKY
    if temporaries and not may_leave:
        problems.append(f"left {', '.join(temporaries)}")
    if ending == 0 and not is_done:
        problems += ["exit code 0, but missing:", *scenario.find_missing(work)]
    if ending == 1 and not any(line.startswith("derain: ") for line in lines):
        problems.append("exit code 1 without a sentence")
    if ending not in {0, 1, 130, "killed"}:
        problems.append(f"exit code {ending}")
    if not is_done:
        again = run_child(
            scenario, Fault(fault.scenario, "none", 0, ONCE, 0), folder, is_again=True
        )
        bad = [*scenario.find_incomplete(work), *scenario.find_missing(work)]
        if again["ending"] != 0 or bad:
            problems += ["not finished by the next run:", *bad, *again["stderr"].splitlines()[-3:]]
    if problems:
        return "lost", [*problems, *lines[-5:]]
    names = {0: "restored", 1: "refused", 130: "interrupted", "killed": "killed"}
    return names[ending], lines[-2:]


def run_campaign(folder: Path, *, each: int, seed: int, only: str | None) -> list[dict[str, Any]]:
    """Run the cases that `results.jsonl` does not have yet; return all results."""
    from campaigns.fault_scenarios import SCENARIOS  # imports torch: forks share it

    results_file = folder / "results.jsonl"
    lines = results_file.read_text().splitlines() if results_file.exists() else []
    done = {json.dumps(json.loads(line)["fault"]) for line in lines}
    for name, scenario in SCENARIOS.items():
        if only not in {None, name}:
            continue
        scenario.make_sources(folder / "sources")
        ended = run_child(scenario, Fault(name, "none", 0, ONCE, 0), folder)
        if ended["ending"] != 0:
            raise RuntimeError(f"{name} fails without a fault: {ended}")
        import_all(ended["modules"])
        plan_file = folder / f"plan-{name}-{each}-{seed}.json"
        if not plan_file.exists():
            scenario.learn(folder / f"work-{scenario.name}", folder / "sources")
            plan = list(plan_faults(scenario, folder, each=each, seed=seed))
            plan_file.write_text(json.dumps([asdict(fault) for fault in plan]))
        scenario.recall(folder / "sources")
        with results_file.open("a") as file:
            for values in json.loads(plan_file.read_text()):
                if json.dumps(values) not in done:
                    status, details = run_case(scenario, Fault(**values), folder)
                    result = {"fault": values, "status": status, "details": details}
                    file.write(json.dumps(result) + "\n")
                    file.flush()
    return [json.loads(line) for line in results_file.read_text().splitlines()]


def import_all(names: list[str]) -> None:
    """Import modules in this process, so that its forks have them."""
    for name in names:
        with suppress(Exception):  # some are made by others
            import_module(name)


def build_injector(folder: Path) -> Path:
    """Compile the library, unless it is there: another process may use it."""
    library = folder / "fault_injector.so"
    if library.exists():
        return library
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, INJECTOR, "-ldl"], check=True
    )
    return library


def main() -> int:
    """Run the campaign; return 1 if a case hung, crashed, or lost something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a scenario: photos, large, clip, rival or training")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if "LD_PRELOAD" not in os.environ:
        variables = {"LD_PRELOAD": str(build_injector(folder)), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "campaigns.faults_below", *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | variables, check=False).returncode
    results = run_campaign(folder, each=options.each, seed=options.seed, only=options.only)
    for result in results:
        if result["status"] in BAD:
            print(result["status"], *result["fault"].values(), *result["details"], sep=" | ")
    for name in dict.fromkeys(result["fault"]["scenario"] for result in results):
        for call in (*FAULTS, KILL):
            found = [
                r["status"]
                for r in results
                if (r["fault"]["scenario"], r["fault"]["call"]) == (name, call)
            ]
            if found:
                print(f"{name:9} {call:7}", *(f"{s} {n}" for s, n in Counter(found).items()))
    counts = Counter(result["status"] for result in results)
    names = ("refused", "restored", "interrupted", "killed", *BAD)
    print(f"tried {len(results)}", *(f"{name} {counts[name]}" for name in names))
    return int(any(counts[name] for name in BAD))


if __name__ == "__main__":
    sys.exit(main())
