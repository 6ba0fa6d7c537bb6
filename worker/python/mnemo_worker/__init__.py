"""mnemo_worker: workers in Python for Mnemo. A model and tasks of your own become a learner that its coordinator trains.

    from mnemo_worker import Learner, stream          # NumPy
    from mnemo_worker.torch_learner import TorchLearner

    python3 -m mnemo_worker card my_learner.py:MyLearner -o my_learner.safetensors
    mnemo train my_experiment.yaml                    # tasks: {kind: external, learner: my_learner.safetensors}
    python3 -m mnemo_worker my_learner.py:MyLearner RUN/endpoint
"""

__all__ = ["Learner", "stream"]
__version__ = "0.1.0"


def __getattr__(name):
    """NumPy is loaded when it is first wanted: __main__ says before that it is to have one thread."""
    if name == "Learner":
        from .learner import Learner

        return Learner
    if name == "stream":
        from .random import stream

        return stream
    raise AttributeError(f"module 'mnemo_worker' has no attribute {name!r}")
