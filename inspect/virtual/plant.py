"""The virtual plant in the hands of its owner: started, driven, broken on purpose, and asked what truly happened."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from linegate.cameras.errors import LinegateError
from linegate.cameras.wire import Wire
from linegate.inspect.plc.registers import Control, Fault
from linegate.inspect.settings import VirtualSettings
from linegate.inspect.virtual import launch, pictures, plc_process, world
from linegate.inspect.virtual.errors import PlantError
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.pictures import PicturePlan, find_photos
from linegate.inspect.virtual.plc_process import PlcPlan
from linegate.inspect.virtual.report import PlantReport, PlcCounters, build_report
from linegate.inspect.virtual.signals import Signals, Word, WorldState
from linegate.inspect.virtual.spec import PanelSpec, drawn
from linegate.inspect.virtual.stage import Stage
from linegate.inspect.virtual.world import WorldPlan

AHEAD = 48
"""Pictures drawn in advance; each is about 1 MB."""
LEDGER = "ledger.jsonl"
PARTS = "parts.json"
"""The settings that its parts were made by, so that whoever reads the ledger can draw them again."""
EPOCH_FILE = "plc_epoch"


class VirtualPlant:
    """Three processes: the PLC, the physical world, and the drawer of pictures.

    Made by ``start``. Its methods belong to one thread at a time. When this process dies, the three die too.
    """

    def __init__(
        self, settings: VirtualSettings, folder: Path, scratch: Path, stages: dict[str, Stage], plc: PlcPlan
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._scratch = scratch
        self._stages = stages
        self._plc_plan = plc
        self._signals = Signals(plc.signals)
        self._world: BaseProcess | None = None
        self._drawer: BaseProcess | None = None
        self._plc: BaseProcess | None = None
        self._world_end: Connection | None = None
        self._plc_end: Connection | None = None
        self._lives: list[PlcCounters] = []
        self._last_report: PlantReport | None = None

    @classmethod
    def start(
        cls,
        settings: VirtualSettings,
        folder: Path,
        *,
        plc_host: str = "127.0.0.1",
        plc_port: int = 0,
        device_id: int = 1,
        views: tuple[str, ...] = ("top",),
        parts: int | None = None,
        pool: int | None = None,
        leave_out: frozenset[str] = frozenset(),
        spec: PanelSpec | None = None,
        stop_delay_ms: float = 0.0,
        checks_confirm: bool = True,
        progress: Callable[[str, int, int], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> VirtualPlant:
        """Start the plant; returns when the PLC listens and pictures lie ready, with the belt at rest.

        ``folder`` keeps the truth ledger (begun anew) and the PLC's last epoch (kept, so that none repeats); ``plc_port``
        0 takes a free port; ``views`` are camera names, each gets a stage; after ``parts`` the belt drains and is
        finished; ``pool`` pictures are made once and repeated; ``leave_out`` photos, by file name, are not shown; ``spec``
        other than the default brings other panels (its defect_share is used as it stands); without ``checks_confirm`` the PLC
        counts confirmed rejects and shows no ConfirmFault; ``progress`` hears (what, done, total); ``stop`` is asked
        meanwhile. Raises PlantError (PlantStopped) or SettingsError.
        """
        launch.check_rate(settings.rate_parts_per_s, settings.camera_to_gate_ms)
        if settings.photos is not None:
            find_photos(settings.photos)
        launch.check_port(plc_host, plc_port)
        folder.mkdir(parents=True, exist_ok=True)
        ledger = folder / LEDGER
        ledger.unlink(missing_ok=True)
        (folder / PARTS).unlink(missing_ok=True)
        if spec is None:
            (folder / PARTS).write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")
        scratch = launch.scratch_folder(folder)
        try:
            stages = {}
            for view in views:
                (scratch / "stage" / view).mkdir(parents=True)
                stages[view] = Stage(scratch / "stage" / view)
                Wire.create(stages[view].wire)
            (scratch / "pictures").mkdir()
            signals = scratch / "signals"
            Signals.create(signals)
            travel = settings.camera_to_gate_ms
            plan = PlcPlan(
                signals, folder / EPOCH_FILE, plc_host, plc_port, device_id, travel, stop_delay_ms, checks_confirm
            )
            plant = cls(settings, folder, scratch, stages, plan)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        try:
            plant._signals[Word.CONTROL] = int(Control.TRIGGER_ENABLE)
            plant._start_world(spec or drawn(settings), parts, pool, leave_out)
            plant._start_plc()
            assert plant._world_end is not None
            wanted = pool if pool is not None else min(AHEAD // 2, parts or AHEAD)
            launch.wait_drawn(plant._world_end, wanted, progress, stop)
            launch.offer_wires(folder, scratch / "signals")
        except BaseException:
            plant.stop()
            raise
        return plant

    def _start_world(self, spec: PanelSpec, parts: int | None, pool: int | None, leave_out: frozenset[str]) -> None:
        ours, theirs = launch.CONTEXT.Pipe()
        belt, drawer = launch.CONTEXT.Pipe()
        folder = self._scratch / "pictures"
        picture_plan = PicturePlan(folder, self._settings.seed, spec, self._settings.photos, leave_out, pool, AHEAD)
        world_plan = WorldPlan(
            signals=self._plc_plan.signals,
            ledger=self._folder / LEDGER,
            pictures=folder,
            stages=tuple(stage.folder for stage in self._stages.values()),
            rate_parts_per_s=self._settings.rate_parts_per_s,
            travel_ms=self._settings.camera_to_gate_ms,
            parts=parts,
            pool=pool,
            ahead=AHEAD,
        )
        self._drawer = launch.start(pictures.main, "plant-drawer", picture_plan, drawer)
        self._world = launch.start(world.main, "plant-world", world_plan, theirs, belt)
        self._world_end = ours

    def _start_plc(self) -> None:
        ours, theirs = launch.CONTEXT.Pipe()
        self._plc = launch.start(plc_process.main, "plant-plc", self._plc_plan, theirs)
        self._plc_end = ours
        news = launch.hear(ours, "PLC", launch.START_S)
        if news[0] == "error":
            raise launch.port_taken(self._plc_plan.host, self._plc_plan.port, news[1])
        self._plc_plan = replace(self._plc_plan, port=int(news[1]))

    # What a station needs to know.

    def stage(self, camera: str) -> Path:
        """The folder that ``camera`` photographs. Raises KeyError for a name not among the views."""
        return self._stages[camera].folder

    @property
    def plc_port(self) -> int:
        """The port the PLC listens on, the same in all its lives."""
        return self._plc_plan.port

    @property
    def plc_pid(self) -> int | None:
        """Process id of the PLC's present life, or None."""
        return self._plc.pid if self._plc is not None and self._plc.is_alive() else None

    @property
    def world_pid(self) -> int | None:
        """Process id of the physical world, or None."""
        return self._world.pid if self._world is not None else None

    @property
    def ledger(self) -> Path:
        """The truth ledger: one JSON line a part, written when it reached the bins."""
        return self._folder / LEDGER

    # Driving it.

    def _tell(self, kind: str, value: float = 0.0) -> None:
        if self._world_end is None:
            raise PlantError("virtual plant", expected="a running one", found="a stopped one", remedy="Start it again.")
        try:
            self._world_end.send((kind, value))
        except (BrokenPipeError, ConnectionResetError):
            self._raise_world_end()

    def _raise_world_end(self) -> None:
        """Raise what the world said when it ended."""
        assert self._world_end is not None
        news: object = ("",)
        while isinstance(news, tuple):  # what it told before it failed
            news = launch.hear(self._world_end, "world", 0.0)
        raise (
            news
            if isinstance(news, LinegateError)
            else PlantError(
                "virtual plant, world", expected="a running belt", found="that it ended", remedy="Start it again."
            )
        )

    def _control(self, bit: Control, on: bool) -> None:
        now = self._signals[Word.CONTROL]
        self._signals[Word.CONTROL] = now | bit if on else now & ~int(bit)

    def run_belt(self) -> None:
        """Feed parts, and show Run."""
        self._control(Control.RUN, True)
        self._tell("run")

    def pause(self) -> None:
        """Feed no more; what is on the belt goes on to the gate."""
        self._control(Control.RUN, False)
        self._tell("pause")

    def set_rate(self, parts_per_s: float) -> None:
        """New spacing of the parts, from the next one on; the belt's speed stays. Raises ValueError for ≤ 0, SettingsError
        for more than the slots hold."""
        if parts_per_s <= 0:
            raise ValueError(f"a rate must be positive, got {parts_per_s}")
        launch.check_rate(parts_per_s, self._settings.camera_to_gate_ms)
        self._tell("rate", parts_per_s)

    def ask_recipe(self, recipe: int) -> None:
        """The PLC asks the station for ``recipe``; 0 asks for none."""
        self._signals[Word.RECIPE_ASKED] = recipe

    def send_command(self, command: int) -> None:
        """Set the P_COMMAND register."""
        self._signals[Word.COMMAND] = command

    def enable_trigger(self, on: bool) -> None:
        """Set or clear TriggerEnable."""
        self._control(Control.TRIGGER_ENABLE, on)

    def arm_challenge(self, on: bool = True) -> None:
        """Set or clear ChallengeArm: the next parts are red rabbits."""
        self._control(Control.CHALLENGE_ARM, on)

    def purge(self) -> None:
        """Take the right to pass from every part between camera and gate."""
        self._signals[Word.PURGE_COUNT] += 1

    def reset_error(self) -> None:
        """The operator acknowledges a confirm fault; ResetError is shown until ``reset_error_done``."""
        self._signals[Word.RESET_COUNT] += 1
        self._control(Control.RESET_ERROR, True)

    def reset_error_done(self) -> None:
        """Let go of the reset key."""
        self._control(Control.RESET_ERROR, False)

    def set_fault(self, fault: Fault, on: bool = True) -> None:
        """Raise or lower one of the machine's own inputs: BinFull, BinOpen, AirLow."""
        now = self._signals[Word.FAULT_INPUTS]
        self._signals[Word.FAULT_INPUTS] = now | fault if on else now & ~int(fault)

    # Breaking it.

    def freeze_plc(self) -> None:
        """The PLC stands still (SIGSTOP) when this returns: its connections stay, nothing answers."""
        os.waitid(os.P_PID, self._signal_plc(signal.SIGSTOP), os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw_plc(self) -> None:
        """It goes on (SIGCONT)."""
        self._signal_plc(signal.SIGCONT)

    def _signal_plc(self, number: int) -> int:
        pid = self.plc_pid
        if pid is None:
            raise PlantError("virtual PLC", expected="a running one", found="none", remedy="Call restart_plc.")
        os.kill(pid, number)
        return pid

    def kill_plc(self) -> None:
        """Power gone (SIGKILL). Its counters are kept for the report."""
        if self._plc is None:
            return
        self._plc.kill()
        self._end_plc()

    def restart_plc(self) -> None:
        """Power back: a new life with a new epoch on the same port; ends the present life first, if there is one."""
        self.kill_plc()
        self._start_plc()

    def _end_plc(self) -> None:
        assert self._plc is not None
        launch.join(self._plc)
        self._plc = None
        if self._plc_end is not None:
            self._plc_end.close()
            self._plc_end = None
        self._lives.append(self._counters())
        self._signals[Word.PLC_PID] = 0

    def pull_camera(self, camera: str) -> None:
        """Unplug ``camera``: its stage is gone."""
        self._stages[camera].pull()

    def plug_camera(self, camera: str) -> None:
        """Plug it in again."""
        self._stages[camera].plug()

    def blind_confirm_sensor(self, rejects: int = 1) -> None:
        """The confirm sensor misses the next ``rejects`` rejected parts."""
        self._signals[Word.BLIND_CONFIRM] += rejects

    # What happened.

    def _counters(self) -> PlcCounters:
        s = self._signals
        return PlcCounters(
            epoch=s[Word.EPOCH],
            triggered=s[Word.TRIGGERED],
            passed=s[Word.PASSED],
            rejected=s[Word.REJECTED],
            confirmed=s[Word.CONFIRMED],
            no_verdict=s[Word.NO_VERDICT],
            untracked=s[Word.UNTRACKED],
        )

    @property
    def finished(self) -> bool:
        """True when all ``parts`` have reached the bins, or the plant was stopped. Raises PlantError when the
        world has ended."""
        if self._last_report is not None:
            return True
        if self._world is None or not self._world.is_alive():
            self._raise_world_end()
        return self._signals[Word.WORLD_STATE] == WorldState.FINISHED

    @property
    def fed(self) -> int:
        """Parts that have come under the camera so far."""
        return self._signals[Word.FED]

    def wait_finished(self, timeout_s: float) -> bool:
        """Wait until the belt has drained after its last part; False when ``timeout_s`` is over first."""
        deadline = time.monotonic() + timeout_s
        while not self.finished:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def report(self) -> PlantReport:
        """The truth so far; after ``stop`` the last one, with what was left on the belt."""
        if self._last_report is not None:
            return self._last_report
        lives = [*self._lives, self._counters()] if self._plc is not None else self._lives
        rows = read_ledger(self.ledger) if self.ledger.exists() else []
        return build_report(rows, self._signals[Word.FED], lives, self._signals[Word.STARVED_MS])

    def stop(self) -> None:
        """End all three processes and remove the pictures; ledger and epoch stay. May be called twice."""
        if self._last_report is not None:
            return
        launch.withdraw_wires(self._folder)
        if self._world is not None:
            if self._world_end is not None:
                with suppress(BrokenPipeError, ConnectionResetError):  # it may have ended already
                    self._world_end.send(("stop", 0.0))
            launch.join(self._world)
            self._world = None
        if self._world_end is not None:
            self._world_end.close()
            self._world_end = None
        if self._drawer is not None:  # its pipe ended with the world
            launch.join(self._drawer)
            self._drawer = None
        if self._plc is not None:
            if self._plc.is_alive() and self._plc.pid is not None:
                os.kill(self._plc.pid, signal.SIGCONT)
            if self._plc_end is not None:
                self._plc_end.close()
                self._plc_end = None
            self._end_plc()
        report = self.report()
        self._last_report = report
        self._signals.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> VirtualPlant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
