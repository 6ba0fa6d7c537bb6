"""Event files as TensorBoard reads them, read by others than who wrote them: frames and masked CRC-32C by hand with crcmod, records by Google's
protobuf from the published field numbers. check RUN FOLDER N-FILES: are they what metrics.jsonl and test.json of RUN tell?"""
import glob
import json
import math
import struct
import sys

import crcmod.predefined
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

crc32c = crcmod.predefined.mkCrcFun("crc-32c")


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def event_class():
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="tb", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        one = file.message_type.add(name=name)
        for field, number, kind, of, repeated in fields:
            one.field.add(name=field, number=number, type=kind, type_name=of and ".tb." + of,
                          label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL)

    message("Image", ("height", 1, kinds.TYPE_INT32, None, 0), ("width", 2, kinds.TYPE_INT32, None, 0),
            ("colorspace", 3, kinds.TYPE_INT32, None, 0), ("encoded_image_string", 4, kinds.TYPE_BYTES, None, 0))
    message("Value", ("tag", 1, kinds.TYPE_STRING, None, 0), ("simple_value", 2, kinds.TYPE_FLOAT, None, 0),
            ("image", 4, kinds.TYPE_MESSAGE, "Image", 0))
    message("Summary", ("value", 1, kinds.TYPE_MESSAGE, "Value", 1))
    message("SessionLog", ("status", 1, kinds.TYPE_INT32, None, 0))
    message("Event", ("wall_time", 1, kinds.TYPE_DOUBLE, None, 0), ("step", 2, kinds.TYPE_INT64, None, 0),
            ("file_version", 3, kinds.TYPE_STRING, None, 0), ("summary", 5, kinds.TYPE_MESSAGE, "Summary", 0),
            ("session_log", 7, kinds.TYPE_MESSAGE, "SessionLog", 0))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("tb.Event"))


def events_of(path, kind):
    """A record that was cut off is the last of a file, and no error: so reads TensorBoard too."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at + 12 <= len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked(data[at:at + 8]), (path, at)
        if at + length + 16 > len(data):
            return
        body = data[at + 12:at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body), (path, at)
        event = kind()
        event.ParseFromString(body)
        copy = kind()
        copy.CopyFrom(event)
        copy.DiscardUnknownFields()
        assert copy.ByteSize() == event.ByteSize(), "fields that are not of the format"
        yield event
        at += length + 16


def read(folder):
    """{(tag, step): value} as it stands when all files were read in turn, pictures by tag, and how many files."""
    kind, numbers, pictures = event_class(), {}, {}
    files = sorted(glob.glob(folder + "/events.out.tfevents.*"))
    for path in files:
        for n, event in enumerate(events_of(path, kind)):
            assert (n == 0) == (event.file_version == "brain.Event:2")
            assert event.wall_time > 1.7e9
            if event.session_log.status == 1: # START: later steps are out of date
                numbers = {key: value for key, value in numbers.items() if key[1] < event.step}
            for value in event.summary.value:
                if value.image.encoded_image_string:
                    pictures[value.tag] = value.image
                    continue
                assert (value.tag, event.step) not in numbers, (value.tag, event.step)
                numbers[value.tag, event.step] = value.simple_value
    return numbers, pictures, len(files)


def tag_of(key):
    if key.startswith("val_"):
        return "val/" + key[4:]
    run = {"lr", "grad_norm", "skipped", "tasks_per_s", "workers", "threads", "wall_s"}
    return ("run/" if key in run or key.startswith("share_") else "train/") + key


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def check(run, folder, n_files):
    numbers, pictures, n = read(folder)
    assert n == int(n_files), n
    told, last = {}, 0
    with open(run + "/metrics.jsonl") as file:
        for record in map(json.loads, file):
            points = {key for key, value in record.items() if not isinstance(value, (int, float)) or key == "val_inner_steps"}
            for key, value in record.items():
                if key != "step" and value is not None and key not in points:
                    told[tag_of(key), record["step"]] = value
            last = record["step"]
    for key, value in told.items():
        assert key in numbers, key
        # metrics.jsonl has nine digits
        assert math.isclose(numbers[key], single(value), rel_tol=2e-7), (key, numbers[key], value)
    extra = {key for key in numbers if key not in told}
    assert extra and all(tag.startswith("test/") and step == last for tag, step in extra), sorted(extra)[:5]
    with open(run + "/test.json") as file:
        scores = json.load(file)["scores"]
    assert any(math.isclose(numbers["test/loss", last], row["loss"], rel_tol=1e-6) for row in scores), scores
    assert set(pictures) == {"pictures/curve", "pictures/task"}, pictures
    for tag, image in pictures.items():
        data = image.encoded_image_string
        assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack_from(">II", data, 16) == (image.width, image.height), tag
        with open(f"{run}/{tag.split('/')[1]}.png", "rb") as file:
            assert file.read() == data, tag
    print(f"{len(told)} numbers of metrics.jsonl, {len(extra)} of the test, 2 pictures, in {n} files")


if __name__ == "__main__":
    check(*sys.argv[1:])
