from __future__ import annotations

import pytest

from punklab.diffusion import doctor
from punklab.diffusion.base import BaseError, BaseModel, resolve_base
from punklab.diffusion.devices import Device, DeviceError, list_devices, pick_device

pytestmark = pytest.mark.diffusion
CPU = Device(name="cpu", label="this one", memory_bytes=None)


def test_the_cpu_is_always_there_and_last():
    names = [device.name for device in list_devices()]
    assert names[-1] == "cpu"
    assert pick_device() == names[0]
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("wanted", ["tpu", "mps", "cuda"])
def test_a_device_that_is_not_there_is_refused_by_name(wanted):
    if wanted in [device.name for device in list_devices()]:
        pytest.skip(f"this machine has {wanted}")
    with pytest.raises(DeviceError, match=wanted):
        pick_device(wanted)


def test_a_device_that_draws_in_time_works(miniature: BaseModel):
    trial = doctor.try_device(miniature, CPU, timeout_s=120)
    assert (trial.works, trial.attempts, trial.fault) == (True, 1, "")
    assert trial.seconds is not None
    assert 0 < trial.seconds < 30
    assert doctor.Examination(base=miniature, trials=(trial,)).best == CPU


def test_a_device_that_hangs_is_killed_and_tried_once_more(miniature: BaseModel):
    trial = doctor.try_device(miniature, CPU, timeout_s=0.05)  # no process is that fast
    assert (trial.works, trial.attempts, trial.seconds) == (False, 2, None)
    assert "did not finish within 0.05 s" in trial.fault
    assert doctor.Examination(base=miniature, trials=(trial,)).best is None


def test_a_device_that_fails_says_why(miniature: BaseModel):
    absent = Device(name="mps", label="none", memory_bytes=None)
    if "mps" in [device.name for device in list_devices()]:
        pytest.skip("this machine has mps")
    trial = doctor.try_device(miniature, absent, timeout_s=120)
    assert not trial.works
    assert "torch finds no mps" in trial.fault


def test_a_base_without_files_is_said_to_be_missing():
    with pytest.raises(BaseError, match="not on this machine"):
        doctor.examine(resolve_base("somebody/stable-diffusion-nowhere"))
