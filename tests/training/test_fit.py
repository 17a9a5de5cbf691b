from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from linegate.models.manifest import InputSpec
from linegate.training.augment import Variation
from linegate.training.batches import Batches
from linegate.training.checkpoint import FILE, CheckpointError, load_checkpoint, save_checkpoint
from linegate.training.dataset import load_folder
from linegate.training.fit import FitSettings, Fitted, Progress, fit
from linegate.training.losses import anchor_loss
from linegate.training.network import Deployed, LineNet, NetSpec
from linegate.training.pictures import Pictures
from linegate.training.ranks import Ranks
from linegate.training.update import take_step

SPEC = InputSpec(width_px=96, height_px=96, channels=1, stride_px=4, pixel_mm=1.0)
NET = NetSpec(classes=2, stem_stride=2, widths=(8, 16, 16), depths=(0, 1, 1), decoder=8)
SETTINGS = FitSettings(steps=12, minutes=None, crop_px=64, batch=4, threads=1, precision="fp32", checkpoint_s=0)
LONG = {"steps": 40, "batch": 16, "checkpoint_s": 999}
RANK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_fit
test_fit.one_of_two(*map(Path, sys.argv[2:]))
"""
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_fit
test_fit.run(Path(sys.argv[1]), Path(sys.argv[2]), slow_s=0.1)
"""


def run(
    folder: Path,
    work: Path,
    *,
    slow_s: float = 0.0,
    cancelled: Callable[[int], bool] = lambda _step: False,
    **changes: object,
) -> Fitted:
    """One small fit; ``slow_s`` leaves some time between steps."""
    dataset = load_folder(folder)
    pictures = Pictures.load(SPEC, dataset.classes, dataset.samples, work)
    torch.manual_seed(0)
    steps = [0]

    def report(progress: Progress) -> None:
        steps[0] = progress.step
        if slow_s:
            (work / "step").write_text(str(progress.step))
            time.sleep(slow_s)

    settings = FitSettings.model_validate({**SETTINGS.model_dump(), **changes})
    return fit(LineNet(NET), pictures, settings, work, {"data": "x"}, report, lambda: cancelled(steps[0]))


def one_of_two(folder: Path, work: Path, out: Path) -> None:
    """What each of two processes does in turn; they share the folder ``work``, as torchrun's do."""
    ranks = Ranks.join()
    with pytest.raises(KeyboardInterrupt):  # one is stopped: both stop, after the same step
        run(folder, work / "steps", **LONG, cancelled=lambda step: ranks.rank == 1 and step == 5)
    stopped = torch.load(work / "steps" / FILE, weights_only=True)["step"]
    fitted = run(folder, work / "steps", **LONG)
    # One has another budget left and another pace; it must follow the first one's clock.
    other = {"minutes": 0.02 * (1 + ranks.rank), "steps": None, "checkpoint_s": 0.2}
    clocked = run(folder, work / "clock", slow_s=0.02 * ranks.rank, **other)
    nets = {"stopped": fitted.net.state_dict(), "clocked": clocked.net.state_dict(), "overflown": _overflow(ranks)}
    torch.save({"at": stopped, "steps": (fitted.steps, clocked.steps), **nets}, out)
    Ranks.leave()


def _overflow(ranks: Ranks) -> dict[str, torch.Tensor]:
    """Weights after a step in which only the second process's gradients overflow, and one in which none do."""
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 1)
    optimizer, scaler = torch.optim.SGD(net.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
    for factor in (float("inf") if ranks.rank else 1.0, 1.0):
        take_step(factor * net(torch.ones(2, 3)).sum(), net, optimizer, scaler, ranks)
    return {**net.state_dict(), "scale": torch.tensor(scaler.get_scale())}


def same(one: Fitted, two: Fitted) -> bool:
    return equal(one.net.state_dict(), two.net.state_dict())


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


def test_same_seed_same_weights_and_resume_after_kill_9(plates: Path, tmp_path: Path) -> None:
    whole = run(plates, tmp_path / "whole")
    assert same(whole, run(plates, tmp_path / "again"))
    work = tmp_path / "killed"
    work.mkdir()
    process = subprocess.Popen([sys.executable, "-c", RUN, str(plates), str(work), str(Path(__file__).parent)])
    deadline = time.monotonic() + 60
    while not ((work / "step").exists() and int((work / "step").read_text() or 0) >= 5):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = load_checkpoint(work, {})
    assert reached is not None
    told = int((work / "step").read_text() or 0)
    assert told <= reached["step"] < 12, "what was told is kept"
    assert same(whole, run(plates, work))


@pytest.fixture(scope="module")
def pair(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes brought back from ``one_of_two``."""
    folder = tmp_path_factory.mktemp("pair")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = []
    for rank in (0, 1):
        ends = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": str(port)}
        env = {**os.environ, **ends, "MASTER_ADDR": "127.0.0.1", "CUDA_VISIBLE_DEVICES": ""}
        args = (Path(__file__).parent, plates, folder / "shared", folder / f"rank{rank}.pt")
        processes.append(subprocess.Popen([sys.executable, "-c", RANK, *map(str, args)], env=env))
    try:
        assert [process.wait(150) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_two_processes_learn_what_one_does_up_to_noise(
    pair: list[dict[str, Any]], plates: Path, tmp_path: Path
) -> None:
    one = run(plates, tmp_path / "alone", **LONG)
    assert equal(pair[0]["stopped"], pair[1]["stopped"])  # weights and batch-norm statistics
    torch.manual_seed(0)
    start = LineNet(NET).state_dict()
    two = LineNet(NET).eval()
    two.load_state_dict(pair[0]["stopped"])
    weights = [key for key in start if key.endswith("weight") and start[key].ndim > 1]
    both, alone = (
        torch.cat([(net.state_dict()[key] - start[key]).flatten() for key in weights]) for net in (two, one.net)
    )
    # Batch norm sees half the batch in each process, so the way is the same only up to that noise.
    assert torch.cosine_similarity(both, alone, dim=0) > 0.9
    with torch.no_grad():
        scores = [Deployed(net)(_all_pictures(plates, tmp_path))[1] for net in (two, one.net)]
    torch.testing.assert_close(*scores, rtol=0, atol=0.03)  # another seed: 0.016


def _all_pictures(folder: Path, work: Path) -> torch.Tensor:
    dataset = load_folder(folder)
    pictures = Pictures.load(SPEC, dataset.classes, dataset.samples, work)
    return torch.from_numpy(np.stack([pictures.image(index)[None] for index in range(len(pictures))]))


def test_processes_follow_one_clock_and_stop_together(pair: list[dict[str, Any]]) -> None:
    assert pair[0]["at"] == pair[1]["at"] == 6
    assert pair[0]["steps"] == pair[1]["steps"]
    assert equal(pair[0]["clocked"], pair[1]["clocked"])


def test_an_overflow_in_one_process_is_one_in_all(pair: list[dict[str, Any]]) -> None:
    assert equal(pair[0]["overflown"], pair[1]["overflown"])
    assert all(torch.isfinite(weights).all() for weights in pair[0]["overflown"].values())
    assert pair[0]["overflown"]["scale"] == 0.5 * 65536  # the step was left out, its scale halved


@pytest.mark.parametrize("ranks", [2, 3])
def test_each_processs_share_of_a_batch_is_half_bad(plates: Path, tmp_path: Path, ranks: int) -> None:
    dataset = load_folder(plates)
    pictures = Pictures.load(SPEC, dataset.classes, dataset.samples, tmp_path)

    def drawn(rank: int, ranks: int) -> Batches:
        return Batches(pictures, 4, 0, 64, 6 * ranks, Variation(paste_share=0.0), rank, ranks)

    alone = Batches(pictures, 4, 0, 64, 6 * ranks, Variation(paste_share=0.0))
    for take in (Batches.crops, Batches.wholes):
        shares = [take(drawn(rank, ranks), 7) for rank in range(ranks)]
        assert all(share.part.mean() == 0.5 for share in shares)
        if take is Batches.crops:  # together they are what one process draws
            together = np.concatenate([share.image for share in shares])
            assert sorted(map(bytes, together)) == sorted(map(bytes, take(alone, 7).image))


def test_an_interrupted_run_keeps_its_state(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(plates, tmp_path / "stopped", cancelled=lambda step: step == 4)
    assert same(run(plates, tmp_path / "whole"), run(plates, tmp_path / "stopped"))


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(plates: Path, tmp_path: Path) -> None:
    """The worst moment there is: weights are new already, the step isn't counted yet."""
    whole = run(plates, tmp_path / "whole", steps=45)
    seen = [0]

    def press(*_: object) -> None:
        seen[0] += 1
        if seen[0] == 30:
            signal.raise_signal(signal.SIGINT)

    hook = register_optimizer_step_post_hook(press)
    # A job in the background of a shell, as on a build server, is started with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(plates, tmp_path / "stopped", steps=45, checkpoint_s=999)
    finally:
        signal.signal(signal.SIGINT, before)
        hook.remove()
    kept = load_checkpoint(tmp_path / "stopped", {})
    assert kept is not None
    assert kept["step"] == 30
    resumed = run(plates, tmp_path / "stopped", steps=45)
    assert same(whole, resumed)
    assert [progress.step for progress in resumed.history] == [20, 40, 45]
    assert [p.loss for p in resumed.history] == [p.loss for p in whole.history]


@pytest.mark.parametrize(("key", "value"), [("batch", 8), ("crop_px", 96), ("rate", 1e-3), ("precision", "bf16")])
def test_a_run_does_not_go_on_with_other_settings(plates: Path, tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(plates, tmp_path, cancelled=lambda step: step == 1)
    with pytest.raises(CheckpointError, match=f"{key} = "):
        run(plates, tmp_path, **{key: value})


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"identity": {"data": "one"}, "step": 3})
    with pytest.raises(CheckpointError, match=r"data = two.*data = one"):
        load_checkpoint(tmp_path, {"data": "two"})
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="checkpoint of this command"):
        load_checkpoint(tmp_path, {"data": "one"})


def test_an_anchored_fit_becomes_less_worse_than_what_it_began_with(plates: Path, tmp_path: Path) -> None:
    """Together over three seeds: 0.5 against 1.5; of one seed chance says as much as the anchor."""
    dataset = load_folder(plates)
    pictures = Pictures.load(SPEC, dataset.classes, dataset.samples, tmp_path)
    begun = run(plates, tmp_path / "begun", **{**LONG, "steps": 200}).net
    batch = Batches(pictures, NET.stride_px, 0, 64, 32, Variation()).wholes(0)
    image, part, weight = map(torch.from_numpy, (batch.image, batch.part, batch.part_weight))

    def worse(seed: int, anchored: bool) -> float:
        settings = SETTINGS.model_copy(update={"steps": 60, "seed": seed, "checkpoint_s": 999})
        work = tmp_path / f"{seed} {anchored}"
        net = fit(copy.deepcopy(begun).requires_grad_(True), pictures, settings, work, anchored=anchored).net
        with torch.no_grad():
            return float(anchor_loss(net(image), begun(image), part, weight))

    assert sum(worse(seed, True) for seed in (7, 8, 9)) < sum(worse(seed, False) for seed in (7, 8, 9))


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse the write as a full disk would, in a process of its own."""
    save_checkpoint(tmp_path, {"identity": {}, "step": 3})
    code = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from linegate.training.checkpoint import CheckpointError, save_checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    save_checkpoint(Path(sys.argv[1]), {'identity': {}, 'step': 4, 'net': torch.zeros(1_000_000)})\n"
        "except CheckpointError as error:\n"
        "    print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "Free some disk" in out.stdout
    kept = load_checkpoint(tmp_path, {})
    assert kept is not None
    assert kept["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
