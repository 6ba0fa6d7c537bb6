"""Learners, cards, rows and sums: what is taken, what is refused, and with which words."""

import fractions
import os
import struct
import sys
import tempfile
import unittest

import numpy as np

from mnemo_worker import Learner, errors, learner as learners, numeric_class, stream, sums, tensor_file
from mnemo_worker.learner import Shape


class Good(Learner):
    scores = {"loss": "lower number nats", "accuracy": "higher share"}

    def parameters(self):
        return {"w": np.arange(6.0).reshape(2, 3), "b": np.float32(1)}

    def task(self, split, index, seed):
        return stream(seed, split, index).standard_normal(3)

    def train(self, theta, task):
        return {"w": np.tile(task, (2, 1)), "b": 0.5}, {"loss": 2, "accuracy": 0.25}


class LearnerTest(unittest.TestCase):
    def refused(self, words, function, *arguments):
        with self.assertRaises(errors.Failure) as caught:
            function(*arguments)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def changed(self, **changes):
        return type("Changed", (Good,), changes)()

    def test_a_learner_has_the_shape_that_its_card_tells(self):
        shape, start = Shape.of(Good())
        self.assertEqual(shape.text(), "tensor w 2 3\ntensor b\nscore loss lower number nats\nscore accuracy higher share\n")
        self.assertEqual((shape.size, shape.train_columns, shape.test_columns), (7, 11, 6))
        self.assertEqual(start["w"].dtype, np.float32)
        again = Shape.read(shape.text())
        self.assertEqual((again.text(), again.digest()), (shape.text(), shape.digest()))
        self.assertEqual(again.differs(shape), "")
        self.assertEqual(Shape.of(self.changed(scores={"loss": "lower"}))[0].scores, [("loss", "lower number")])

    def test_another_order_is_no_difference_but_another_name_shape_or_score_is_told(self):
        run = Shape.read("tensor w 2 3\ntensor b\nscore loss lower number\n")
        self.assertEqual(run.differs(Shape.read("tensor b\ntensor w 2 3\nscore loss lower number\n")), "")
        for other, words in (("tensor w 3 2\ntensor b\nscore loss lower number\n", "w has shape [2, 3] in the run, but [3, 2]"),
                             ("tensor v 2 3\ntensor b\nscore loss lower number\n", "a tensor w [2, 3], which this learner lacks"),
                             ("tensor w 2 3\ntensor b\ntensor c\nscore loss lower number\n", "a tensor c [], which the run lacks"),
                             ("tensor w 2 3\ntensor b\nscore error lower number\n", "the scores loss (lower number), but")):
            self.assertIn(words, run.differs(Shape.read(other)))

    def test_parameters_and_scores_that_cannot_be_trained_are_refused(self):
        for value, word in (({"w": np.zeros(2, int)}, "int64"), ({"a b": np.zeros(2)}, "no name"), ({"best.w": np.zeros(2)}, "checkpoint"), ({"w": np.zeros((1,) * 5)}, "4 dimensions"),
                            ({"w": np.array([np.nan])}, "not finite"), ({}, "0 arrays"), ({"w": np.zeros(0)}, "some numbers")):
            self.refused(["Changed.parameters()", word], Shape.of, self.changed(parameters=lambda self, v=value: v))
        for value in ({"loss": "better"}, {"my loss": "lower"}, {"loss": "lower percent"}, {"loss": "lower number " + "x" * 24}):
            self.refused(["is no score"], Shape.of, self.changed(scores=value))

    def test_a_row_is_gradients_in_the_order_of_theta_then_scores(self):
        shape, _ = Shape.of(Good())
        row = shape.train_row("Good", ({"b": 9, "w": np.arange(6.0).reshape(2, 3)}, {"accuracy": 0.5, "loss": 3}))
        self.assertEqual(row.tolist(), [0, 1, 2, 3, 4, 5, 9, 3, 0.5, 1, 0])
        row = shape.test_row("Good", {"loss": 3, "accuracy": (7, 10)})
        self.assertEqual(row.tolist(), [3, 7, 1, 10, 1, 0])

    def test_what_is_not_finite_or_too_large_is_skipped(self):
        shape, _ = Shape.of(Good())
        for bad in (np.nan, np.inf, -2.0**24):
            row = shape.train_row("Good", ({"w": np.full((2, 3), bad), "b": 0}, {"loss": 1, "accuracy": 1}))
            self.assertTrue(learners.is_skipped(row))
            self.assertEqual(row[:-1].tolist(), [0] * 10)
            self.assertTrue(learners.is_skipped(shape.test_row("Good", {"loss": bad, "accuracy": 1})))
        row = shape.train_row("Good", ({"w": np.zeros((2, 3)), "b": 2.0**24 - 1}, {"loss": 1, "accuracy": 1}))
        self.assertFalse(learners.is_skipped(row))

    def test_gradients_that_do_not_fit_are_refused_by_name(self):
        shape, _ = Shape.of(Good())
        fine = {"loss": 1, "accuracy": 1}
        for made, words in ((({"w": np.zeros((3, 2)), "b": 0}, fine), ["the gradient of w has shape [3, 2]", "expected [2, 3]"]),
                            (({"w": np.zeros((2, 3))}, fine), ["no gradient of b"]),
                            (({"w": np.zeros((2, 3)), "b": 0, "c": 1}, fine), ["gradient of c, which theta lacks"]),
                            (({"w": np.zeros((2, 3)), "b": 0}, {"loss": 1}), ["the score accuracy is missing"]),
                            (7, ["int", "expected (gradients, scores)"])):
            self.refused(["Good.train()"] + words, shape.train_row, "Good", made)

    def test_theta_comes_as_views_that_cannot_be_written(self):
        shape, _ = Shape.of(Good())
        theta = shape.arrays(np.arange(7, dtype=np.float32))
        self.assertEqual(theta["w"].tolist(), [[0, 1, 2], [3, 4, 5]])
        self.assertEqual(theta["b"].shape, ())
        with self.assertRaises(ValueError):
            theta["w"][0, 0] = 1

    def test_a_task_is_a_function_of_seed_split_and_index(self):
        draws = {(seed, split, index, purpose): stream(seed, split, index, purpose).standard_normal(4).tobytes()
                 for seed in (1, 2) for split in ("train", "val", "test") for index in (0, 1, 10**12) for purpose in (0, 1)}
        self.assertEqual(len(set(draws.values())), len(draws))
        for key, draw in reversed(list(draws.items())):
            self.assertEqual(stream(*key).standard_normal(4).tobytes(), draw)

    def test_learners_are_found_by_file_and_class(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "mine_for_test.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write("from mnemo_worker import Learner\nclass Mine(Learner):\n    pass\nclass Other:\n    pass\n")
            self.assertEqual(type(learners.load(path + ":Mine")).__name__, "Mine")
            self.refused(["no class Yours", "Mine, Other"], learners.load, path + ":Yours")
            self.refused(["not", "derived from mnemo_worker.Learner"][1:], learners.load, path + ":Other")
            self.refused(["FILE.py:CLASS"], learners.load, path)
            self.refused(["there is no file"], learners.load, folder + "/x.py:Mine")
            before = learners.source_digest()
            self.assertEqual(before, learners.source_digest())
            with open(path, "a", encoding="utf-8") as file:
                file.write("import part_for_test\n")
            with open(os.path.join(folder, "part_for_test.py"), "w", encoding="utf-8") as file:
                file.write("RATE = 1\n")
            learners.load(path + ":Mine")
            after = learners.source_digest()
            self.assertNotEqual(before, after)
            with open(os.path.join(folder, "part_for_test.py"), "a", encoding="utf-8") as file:
                file.write("RATE = 2\n")
            self.assertNotEqual(after, learners.source_digest())
            del sys.modules["mine_for_test"], sys.modules["part_for_test"]

    def test_the_numeric_class_is_of_source_version_and_what_tasks_give(self):
        shape, start = Shape.of(Good())
        vector = np.concatenate([start[name].ravel() for name, _ in shape.tensors])

        def of(learner, seed=1):
            return numeric_class.lines(learner, shape, vector, seed)

        lines = of(Good())
        self.assertEqual(lines, of(Good()))
        self.assertEqual([line.split(" ")[0] for line in lines if line.split(" ")[0] not in os.environ],
                         ["learner", "python", "numpy", "processor", "self-test"])
        classes = {numeric_class.digest(of(learner, seed)) for learner, seed in (
            (Good(), 1), (Good(), 2), (self.changed(version="2"), 1),
            (self.changed(test=lambda self, theta, task: {"loss": 2.0000002, "accuracy": 0.25}), 1))}
        self.assertEqual(len(classes), 4)

    def test_a_worker_that_begins_with_another_theta_is_of_another_class(self):
        learner = self.changed(train=lambda self, theta, task: ({"w": theta["w"], "b": 0.5}, {"loss": 2, "accuracy": 0.25}))
        shape, start = Shape.of(learner)
        vector = np.concatenate([start[name].ravel() for name, _ in shape.tensors])
        self.assertNotEqual(numeric_class.lines(learner, shape, vector, 1), numeric_class.lines(learner, shape, vector + np.float32(1), 1))

    def test_a_card_is_a_safetensors_file_that_reads_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "card.safetensors")
            shape, start = Shape.of(Good())
            tensor_file.write(path, start, {"mnemo.scores": shape.scores_text()})
            arrays, metadata = tensor_file.read(path)
            self.assertEqual(list(arrays), ["w", "b"])
            self.assertEqual(arrays["w"].tolist(), start["w"].tolist())
            self.assertEqual(metadata["mnemo.scores"], "loss lower number nats\naccuracy higher share\n")
            self.assertEqual(os.listdir(folder), ["card.safetensors"])


class SumsTest(unittest.TestCase):
    def unpacked(self, packed, n):
        """As common/packed_sum.h says, by whole numbers of Python: each in units of 2^-70."""
        out, at = [], 0
        while len(out) < n:
            shift, width = packed[at], packed[at + 1]
            at += 2
            for _ in range(min(64, n - len(out))):
                number = packed[at:at + width]
                if width == 16:
                    high, low = struct.unpack("<qq", number)
                    out.append(high * 2**47 + low)
                else:
                    out.append(int.from_bytes(number, "little", signed=True) << shift)
                at += width
        self.assertEqual(at, len(packed))
        return out

    def test_packed_sums_are_exact_in_any_order(self):
        random = np.random.Generator(np.random.Philox(5))
        rows = (random.standard_normal((40, 150)) * 2.0 ** random.integers(-30, 20, (40, 150))).astype(np.float32)
        exact = [int(sum(round(fractions.Fraction(float(x)) * 2**70) for x in column)) for column in rows.T]
        packed = []
        for order in (range(40), random.permutation(40)):
            total = sums.ExactSum(150)
            for i in order:
                total.add(rows[i])
            packed.append(total.pack())
        self.assertEqual(packed[0], packed[1])
        self.assertEqual(self.unpacked(packed[0], 150), exact)

    def test_the_checksum_is_xxh3(self):
        self.assertEqual(sums.checksum(b""), 0x2D06800538D394C2)  # of nothing, seed 0


if __name__ == "__main__":
    unittest.main()
