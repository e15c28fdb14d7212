"""A graph of anybody's names no file of another's: where its tensors lie is read before ONNX Runtime opens it."""

from pathlib import Path

import numpy as np
import pytest

from lorabert.errors import InputError
from lorabert.shipping.exporting import outside, running

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def tensor(place: str | None):
    if place is None:
        return onnx.numpy_helper.from_array(np.ones(4, np.float32), "w")
    made = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    made.external_data.add(key="offset", value="0")
    made.external_data.add(key="location", value=place)
    return made


def written(place: str | None, where: str = "initializer") -> Path:
    """A graph that adds a tensor, as an initializer, a node's value, or inside of a branch."""
    helper, shape = onnx.helper, [4]
    x, y = (helper.make_tensor_value_info(name, 1, shape) for name in ("x", "y"))
    add, constant = helper.make_node("Add", ["x", "w"], ["y"]), helper.make_node("Constant", [], ["w"], value=tensor(place))
    if where == "branch":
        inner = helper.make_graph([constant, add], "inner", [], [y])
        nodes = [helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.array(True))),
                 helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]  # fmt: skip
    else:
        nodes = [add] if where == "initializer" else [constant, add]
    graph = helper.make_graph(nodes, "g", [x], [y], [tensor(place)] if where == "initializer" else [])
    file = Path("graph/model.onnx")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString())
    return file


@pytest.mark.parametrize("where", ["initializer", "node", "branch"])
@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "link", "a/../../secret", "..", "", "nowhere", "\\\\host\\x"])
def test_numbers_that_lie_elsewhere_are_refused(place, where):
    file = written(place, where)
    Path("secret").write_bytes(np.ones(4, np.float32).tobytes())
    (file.parent / "link").symlink_to("../secret")
    with pytest.raises(InputError, match="none of its folder's"):
        outside.check(file)
    with pytest.raises(InputError):
        running._session(file)


@pytest.mark.parametrize("where", ["initializer", "node", "branch"])
def test_numbers_in_the_graph_or_beside_it_are_read(where):
    outside.check(written(None, where))
    file = written("model.onnx.data", where)
    (file.parent / "model.onnx.data").write_bytes(np.full(4, 2, np.float32).tobytes())
    outside.check(file)
    if where == "initializer":
        assert running._session(file).run(None, {"x": np.ones(4, np.float32)})[0].tolist() == [3.0] * 4


@pytest.mark.parametrize("content", [b"\xff" * 20, b"\x3a\xff\xff\xff\x7f", b"\x3b", b"\x80", b"\x3a\x05\x0a"])
def test_what_is_no_graph_is_refused_in_words(content):
    Path("model.onnx").write_bytes(content)
    with pytest.raises(InputError, match="no ONNX graph"):
        outside.check(Path("model.onnx"))


def test_graphs_in_graphs_without_end_are_refused():
    content = b""
    for field in [5, 1, 6] * 100:  # a node in a graph, an attribute in a node, a graph in an attribute
        length, size = len(content), b""
        while length >= 0x80:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        content = bytes([field << 3 | 2]) + size + bytes([length]) + content
    Path("model.onnx").write_bytes(b"\x3a" + b"\xff\x7f" + content[:16383].ljust(16383, b"\0"))
    with pytest.raises(InputError):
        outside.check(Path("model.onnx"))
