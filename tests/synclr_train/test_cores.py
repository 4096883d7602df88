"""Idle threads are told to sleep early, unless the user said otherwise."""

import os

from synclr_train.cores import SPINS_BEFORE_SLEEP, share_cores


def test_a_default_is_set_and_a_choice_is_kept(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    share_cores()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    share_cores()
    assert os.environ["GOMP_SPINCOUNT"] == SPINS_BEFORE_SLEEP
