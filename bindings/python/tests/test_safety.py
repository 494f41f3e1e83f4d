"""No call ends the interpreter: each of these runs in one of its own, several times where threads are involved."""

import subprocess
import sys
import textwrap

import pytest


def run(program):
    """Runs a program in another interpreter; it must end by itself and say that it is done."""
    program = "import faulthandler, threading, time\nimport numpy as np\nimport frmdn_gym\nfaulthandler.enable()\n" + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.split() == ["done"], f"{done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("attempt", range(6))
@pytest.mark.parametrize("kind", ["VectorCarRacing(8, threads=2)", "VectorCarRacing(2, threads=1)", "CarRacing(render_mode='rgb_array')"])
def test_closing_while_other_threads_work(kind, attempt):
    run(
        f"""
        env = frmdn_gym.{kind}
        env.reset(seed={attempt})
        still = np.zeros(env.action_space.shape)
        stepped, ends = threading.Event(), []

        def work(call):
            try:
                while True:
                    call()
                    stepped.set()
            except frmdn_gym.NativeError as error:
                ends.append(str(error))

        calls = [lambda: env.step(still), lambda: env.step(still), env.render, env.reset]
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        if env.render_mode is None:
            threads.pop(2)
        for thread in threads:
            thread.start()
        stepped.wait()
        time.sleep(0.01 * {attempt})
        env.close()
        env.close()
        for thread in threads:
            thread.join()
        assert len(ends) == len(threads) and all("closed" in end for end in ends), ends
        for call in [lambda: env.step(still), env.reset]:
            try:
                call()
            except frmdn_gym.NativeError as error:
                assert "closed" in str(error)
            else:
                raise SystemExit("a call after the close")
        print("done")
        """
    )


def test_closing_in_a_handler_of_a_signal():
    run(
        """
        import signal
        env = frmdn_gym.VectorCarRacing(2)
        env.reset(seed=1)
        signal.signal(signal.SIGALRM, lambda *_: env.close())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            while True:
                env.step(np.zeros((2, 3)))
        except frmdn_gym.NativeError as error:
            assert "closed" in str(error)
        print("done")
        """
    )


def test_threads_that_share_an_environment_wait_for_each_other():
    run(
        """
        env = frmdn_gym.VectorCarRacing(4, threads=2)
        env.reset(seed=1)
        def work():
            for _ in range(50):
                observations, *_ = env.step(np.zeros((4, 3)))
                assert observations.shape == (4, 96, 96, 3)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # 200 steps of a thousand were made, so that 800 are left.
        for _ in range(799):
            truncated = env.step(np.zeros((4, 3)))[3]
        assert not truncated.any()
        assert env.step(np.zeros((4, 3)))[3].all()
        print("done")
        """
    )


def test_ending_the_interpreter_while_a_thread_steps():
    run(
        """
        env = frmdn_gym.VectorCarRacing(4, threads=2)
        env.reset(seed=1)
        stepped = threading.Event()
        def work():
            while True:
                env.step(np.zeros((4, 3)))
                stepped.set()
        threading.Thread(target=work, daemon=True).start()
        stepped.wait()
        print("done")
        """
    )


def test_counts_that_no_machine_has_room_for():
    run(
        """
        for options in [{"num_envs": n} for n in (2**40, 2**63, 2**64, 2**200, -1, -2**64, 0)] + [{"threads": n} for n in (-1, 2**20, 2**64)]:
            try:
                frmdn_gym.VectorCarRacing(**options)
            except ValueError as error:
                name, = options
                assert f"{name} is " in str(error) and "must be a whole number from" in str(error), error
            else:
                raise SystemExit(f"{options} was taken")
        print("done")
        """
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
def test_too_little_memory_is_an_error():
    run(
        """
        import resource
        small = frmdn_gym.VectorCarRacing(1)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
        for _ in range(3):
            try:
                frmdn_gym.VectorCarRacing(4096, threads=1)
            except MemoryError as error:
                assert "memory" in str(error)
            else:
                raise SystemExit("4,096 environments in 256 MiB")
        assert small.reset(seed=1)[1]["tiles"] > 200
        print("done")
        """
    )


def test_hostile_arguments_of_calls():
    run(
        """
        env = frmdn_gym.VectorCarRacing(2, render_mode="rgb_array")
        env.reset(seed=1)
        for actions in [None, "gas", [[0, 0, 0]], np.zeros(6), np.full((2, 3), np.nan), [[object()] * 3] * 2]:
            try:
                env.step(actions)
            except (ValueError, TypeError):
                continue
            raise SystemExit(f"the actions {actions!r} were taken")
        for seed in ["1", -1, [1], [1, -1], [None, 0.5j], object()]:
            try:
                env.reset(seed=seed)
            except (ValueError, TypeError, frmdn_gym.native.gymnasium.error.Error):
                continue
            raise SystemExit(f"the seed {seed!r} was taken")
        for options in [{"reset_mask": 1}, {"reset_mask": np.zeros(2, bool)}, {"reset_mask": np.ones(3, bool)}]:
            try:
                env.reset(options=options)
            except ValueError:
                continue
            raise SystemExit(f"{options} were taken")
        env.step(np.zeros((2, 3)))
        print("done")
        """
    )
