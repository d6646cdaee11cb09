"""Models inside of what PyTorch wraps around them: recorded right, or an error with the remedy."""

import copy
import sys
import warnings

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils import parametrizations

import layerlens as ll

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture(scope="module")
def _process_group(tmp_path_factory):
    if not dist.is_available() or sys.platform == "win32":
        pytest.skip("needs torch.distributed with gloo")
    path = tmp_path_factory.mktemp("dist") / "init"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dist.init_process_group("gloo", init_method=f"file://{path}", rank=0, world_size=1)
        yield
        dist.destroy_process_group()


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()


def cloned(model, x=X):
    """What each module puts out, by hooks that clone."""
    seen = {}

    def keep(name):
        def hook(module, args, output):
            seen[name] = output.detach().dequantize() if output.is_quantized else output.detach()
            seen[name] = seen[name].float().clone().numpy()

        return hook

    handles = [m.register_forward_hook(keep(n)) for n, m in model.named_modules()]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


def check(model, layers="*", names=("0", "1", "2"), prefix=""):
    expected = cloned(model)
    with torch.no_grad():
        plain = model(X)
        with ll.Probe(model, layers, sketch=None) as probe:
            assert torch.equal(plain, model(X))
    acts = probe.activations
    assert list(acts) == [prefix + name for name in names]
    for name, rows in acts.items():
        np.testing.assert_array_equal(rows, expected[name])
    return acts


def test_data_parallel_on_one_device_keeps_its_names():
    check(nn.DataParallel(mlp()), prefix="module.")


def test_data_parallel_on_several_devices_names_the_remedy():
    model = nn.DataParallel(mlp())
    model.device_ids = [0, 1]  # as it has them where there are two
    with pytest.raises(ll.RecordingError, match=r"record model\.module"):
        ll.Probe(model)
    assert list(ll.Probe(model.module).run([X])) == ["0", "1", "2"]


@pytest.mark.usefixtures("_process_group")
@pytest.mark.filterwarnings("default")
def test_distributed_data_parallel():
    from torch.nn.parallel import DistributedDataParallel

    model = DistributedDataParallel(mlp())
    check(model, prefix="module.")
    # the part inside is recorded too where the whole is called, and keeps its own names
    with ll.Probe(model.module) as probe:
        model(X).sum().backward()
    assert list(probe.activations) == ["0", "1", "2"]
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.usefixtures("_process_group")
@pytest.mark.filterwarnings("default")
def test_fully_sharded():
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard"):
        pytest.skip("this torch has no FSDP2")
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 7):
        pytest.skip("this torch shards on accelerators only: its streams of a CPU record no event")
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    plain, model = mlp(), mlp()
    for layer in model:
        if isinstance(layer, nn.Linear):
            fsdp.fully_shard(layer, mesh=mesh)
    fsdp.fully_shard(model, mesh=mesh)
    expected = cloned(plain)
    for _ in range(2):  # parameters are gathered and let go each time
        acts = ll.Probe(model, sketch=None).run([X])
        assert list(acts) == ["0", "1", "2"]
        for name, rows in acts.items():
            np.testing.assert_array_equal(rows, expected[name])
    with ll.Probe(model) as probe:
        model(X).sum().backward()
    assert len(probe.activations["0"]) == 5
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_recorded_as_it_comes(dtype):
    model = mlp()
    with torch.autocast("cpu", dtype=dtype):
        acts = check(model)
        assert model(X).dtype == dtype
    assert acts["0"].dtype == np.float32
    assert not np.array_equal(acts["0"], cloned(model)["0"])


@pytest.mark.filterwarnings("default")
def test_dynamically_quantised():
    model = torch.ao.quantization.quantize_dynamic(mlp(), {nn.Linear})
    expected = []
    handle = model[0].register_forward_hook(lambda m, a, out: expected.append(out.clone()))
    model(X)
    handle.remove()
    acts = ll.Probe(model).run([X])
    assert list(acts) == ["0", "1", "2"]
    np.testing.assert_array_equal(acts["0"], expected[0])


@pytest.mark.filterwarnings("default")
def test_statically_quantised_outputs_are_recorded_as_what_they_stand_for():
    quantization = torch.ao.quantization
    supported = [one for one in torch.backends.quantized.supported_engines if one != "none"]
    if not supported:
        pytest.skip("this torch quantises nothing")
    model = nn.Sequential(quantization.QuantStub(), *mlp(), quantization.DeQuantStub()).eval()
    model.qconfig = quantization.get_default_qconfig(torch.backends.quantized.engine)
    quantization.prepare(model, inplace=True)
    model(X)
    quantization.convert(model, inplace=True)
    values = {}
    handles = [
        m.register_forward_hook(lambda m, a, out, n=n: values.__setitem__(n, out.clone()))
        for n, m in model.named_children()
    ]
    model(X)
    for handle in handles:
        handle.remove()
    acts = ll.Probe(model).run([X])
    assert list(acts) == ["0", "1", "2", "3", "4"]
    assert values["1"].is_quantized
    for name, rows in acts.items():
        np.testing.assert_array_equal(rows, values[name].dequantize())


@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrised_weights_are_no_layers(how):
    model = mlp()
    getattr(parametrizations, how)(model[0])
    check(model)


@pytest.mark.filterwarnings("default")
def test_weight_norm_of_old():
    model = mlp()
    nn.utils.weight_norm(model[0])
    check(model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_part_is_left_out_by_name_and_the_rest_recorded():
    model = mlp()
    model[1] = torch.jit.script(nn.ReLU())
    with pytest.warns(ll.LayerlensWarning, match="'1' .it is TorchScript, which takes no hooks"):
        acts = ll.Probe(model).run([X])
    assert list(acts) == ["0", "2"]


@pytest.mark.parametrize("transform", ["grad", "vmap", "jvp"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_transforms_say_to_call_the_model_without_them(transform):
    model = mlp()
    parameters = dict(model.named_parameters())
    calls = {
        "grad": lambda: torch.func.grad(lambda p: torch.func.functional_call(model, p, (X,)).sum())(
            parameters
        ),
        "vmap": lambda: torch.vmap(model)(X),
        "jvp": lambda: torch.func.jvp(model, (X,), (X,)),
    }
    with pytest.warns(ll.LayerlensWarning, match="call the model once without the transform"):  # noqa: SIM117
        with ll.Probe(model) as probe:
            calls[transform]()
            model(X)
    assert [len(rows) for rows in probe.activations.values()] == [5, 5, 5]


@pytest.mark.parametrize("how", ["whole", "in place", "part"])
def test_compiled_before(how):
    model, plain = mlp(), mlp()
    if how == "in place":
        model.compile(backend="eager")
    elif how == "part":
        model[0] = torch.compile(model[0], backend="eager")
    run = torch.compile(model, backend="eager") if how == "whole" else model
    with torch.no_grad():
        run(X)
    acts = ll.Probe(run).run([X])
    assert list(acts) == ["0", "1", "2"]
    expected = cloned(plain)
    for name, rows in acts.items():
        np.testing.assert_array_equal(rows, expected[name])


def test_copy_made_by_a_transformation_of_the_graph():
    check(torch.fx.symbolic_trace(mlp()))


def test_tensors_without_values_say_so():
    model = copy.deepcopy(mlp()).to("meta")
    with pytest.warns(ll.LayerlensWarning, match="no values .meta or fake tensor.; load the"):  # noqa: SIM117
        with ll.Probe(model):
            model(X.to("meta"))


def test_sparse_output_says_so():
    class Sparse(nn.Module):
        def forward(self, x):
            return x.to_sparse()

    model = nn.Sequential(nn.Linear(4, 2), Sparse())
    with pytest.warns(ll.LayerlensWarning, match="'1' .its layout is torch.sparse_coo; record"):
        assert list(ll.Probe(model).run([X])) == ["0"]
