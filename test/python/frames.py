"""Holds python/tunicorn/protocol.py against the vectors of test/corpus/frames.json: PYTHON frames.py -v."""

import json
import os
import random
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "python"))

from tunicorn import protocol  # noqa: E402

with open(os.path.join(HERE, "..", "corpus", "frames.json")) as file:
    VECTORS = json.load(file)


def decode(data, size):
    """Feeds the bytes in pieces of `size`; gives the frames and how many bytes are left over."""
    decoder = protocol.Decoder()
    frames = []
    for at in range(0, len(data), size):
        frames += decoder.push(data[at : at + size])
    left = len(data) - sum(protocol.HEADER_LENGTH + len(frame[3]) + len(frame[4]) for frame in frames)
    return frames, left, decoder


def to_frame(frame):
    kind = getattr(protocol, frame["kind"])
    return kind, frame["flags"], frame["id"], "\0".join(frame["head"]), bytes.fromhex(frame["body"])


def encode(frame):
    kind, flags, ident, head, body = frame
    return protocol.encode(kind, flags=flags, ident=ident, head=head.encode("latin-1"), body=body)


class Frames(unittest.TestCase):
    def test_valid(self):
        for vector in VECTORS["valid"]:
            data = bytes.fromhex(vector["hex"])
            expected = [to_frame(frame) for frame in vector["frames"]]
            for size in (len(data) + 1, 1, 3, 16):
                with self.subTest(vector["name"], size=size):
                    frames, left, decoder = decode(data, size)
                    self.assertEqual(frames, expected)
                    self.assertEqual(left, vector["pending"])
                    self.assertGreater(decoder.missing, 0)
            self.assertEqual(b"".join(map(encode, expected)), data[: len(data) - vector["pending"]])

    def test_invalid(self):
        for vector in VECTORS["invalid"]:
            data = bytes.fromhex(vector["hex"])
            for size in (len(data), 1):
                with self.subTest(vector["name"], size=size):
                    self.assertRaises(protocol.FrameError, decode, data, size)

    def test_missing_is_what_the_frame_still_needs(self):
        decoder = protocol.Decoder()
        data = protocol.encode(protocol.BODY, body=b"x" * 100)
        decoder.push(data[:10])
        self.assertEqual(decoder.missing, 6)
        decoder.push(data[10:50])
        self.assertEqual(decoder.missing, len(data) - 50)
        self.assertEqual(len(decoder.push(data[50:])), 1)
        self.assertEqual(decoder.missing, 16)

    def test_longest_parts(self):
        body = bytes(protocol.MAX_PART)
        frames, left, _ = decode(protocol.encode(protocol.BODY, body=body), 1 << 20)
        self.assertEqual([frame[4] for frame in frames], [body])
        self.assertEqual(left, 0)
        self.assertRaises(protocol.FrameError, protocol.encode, protocol.BODY, body=body + b"x")
        self.assertRaises(protocol.FrameError, protocol.encode, protocol.BODY, head=body + b"x")

    def test_random_frames_and_cuts(self):
        chance = random.Random(2)
        for _ in range(300):
            frames = [
                (
                    chance.randint(protocol.REQUEST, protocol.DRAIN),
                    chance.randint(0, 255),
                    chance.getrandbits(32),
                    "".join(chr(chance.randint(0, 255)) for _ in range(chance.randint(0, 40))),
                    bytes(chance.getrandbits(8) for _ in range(chance.randint(0, 40))),
                )
                for _ in range(chance.randint(0, 5))
            ]
            self.assertEqual(decode(b"".join(map(encode, frames)), chance.randint(1, 40))[0], frames)

    def test_random_bytes(self):
        chance = random.Random(3)
        for _ in range(1000):
            data = bytes(
                chance.choice((0, 1, 2, 255, chance.getrandbits(8))) for _ in range(chance.randint(0, 99))
            )
            try:
                decode(data, chance.randint(1, 64))
            except protocol.FrameError:
                pass

    def test_fields(self):
        self.assertEqual(protocol.encode_fields([]), b"")
        self.assertEqual(protocol.encode_fields([("worker", 3), ("x", "")]), b"worker\x003\0x\0")
        # A message of the application must not add fields, nor fail for its characters.
        self.assertEqual(protocol.encode_fields([("message", "a\0b\u20ac")]), b"message\0a b\\u20ac")


if __name__ == "__main__":
    unittest.main()
