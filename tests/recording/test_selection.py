import pytest
import torch
from tests.recording.models import ResNet, Reused
from torch import nn

from layerlens.errors import LayerSelectionError
from layerlens.recording.selection import select


def names(model, layers):
    return [target.name for target in select(model, layers).targets]


def test_glob_crosses_dots():
    assert names(ResNet(), "stage*conv") == ["stage.0.conv", "stage.1.conv"]


def test_type_selects_subclasses_too():
    class Special(nn.Linear):
        pass

    assert names(nn.Sequential(Special(2, 2), nn.ReLU(), nn.Linear(2, 2)), nn.Linear) == ["0", "2"]


def test_predicate_gets_name_and_module():
    found = names(ResNet(), lambda n, m: n.startswith("stem") and isinstance(m, nn.ReLU))
    assert found == ["stem.1"]


def test_list_is_a_union_in_the_models_order():
    assert names(ResNet(), [nn.Linear, "stem.0"]) == ["stem.0", "head.2"]


def test_module_of_the_model_selects_itself():
    model = ResNet()
    assert names(model, model.stage) == ["stage"]


def test_star_marks_containers_as_recorded_only_where_new():
    targets = {t.name: t.only_new for t in select(ResNet(), "*").targets}
    assert targets["stage.0"] and targets[""] and not targets["stage.0.conv"]


def test_star_leaves_out_parametrizations():
    model = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    assert not [name for name in names(model, "*") if "parametrizations" in name]


def test_place_in_the_output_is_split_off():
    targets = select(nn.ModuleDict({"lstm": nn.LSTM(2, 2)}), 'lstm[1]["h"]').targets
    assert [(t.name, t.paths) for t in targets] == [("lstm", ((1, "h"),))]


def test_bracket_is_a_character_set_where_only_that_matches():
    model = nn.ModuleDict({"conv1": nn.ReLU(), "conv2": nn.ReLU(), "conv3": nn.ReLU()})
    assert names(model, "conv[13]") == ["conv1", "conv3"]


def test_input_is_no_module():
    found = select(ResNet(), ["input", "head.2"])
    assert found.model_input and [t.name for t in found.targets] == ["head.2"]


def test_mistyped_name_is_answered_with_the_nearest():
    with pytest.raises(LayerSelectionError, match=r"no layer that matches 'stm\.0'.*'stem\.0'"):
        select(ResNet(), "stm.0")


def test_one_of_a_list_that_matches_nothing_is_an_error():
    with pytest.raises(LayerSelectionError, match="convx"):
        select(ResNet(), ["*conv", "convx"])


def test_absent_type_lists_the_types_there_are():
    with pytest.raises(LayerSelectionError, match=r"no layer of type LSTM.*BatchNorm2d"):
        select(ResNet(), nn.LSTM)


def test_second_name_of_a_module_says_under_which_it_is_recorded():
    model = Reused()
    model.twin = model.a
    with pytest.raises(LayerSelectionError, match="'twin' is the same module as 'a'"):
        select(model, "twin")


@pytest.mark.parametrize("layers", [[], ()])
def test_empty_selection_is_an_error(layers):
    with pytest.raises(LayerSelectionError, match="empty"):
        select(ResNet(), layers)


@pytest.mark.parametrize("layers", [3, [3], int])
def test_wrong_kind_of_selector_is_a_type_error(layers):
    with pytest.raises(TypeError, match="predicate"):
        select(ResNet(), layers)


def test_compiled_model_keeps_its_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0] = torch.compile(model[0], backend="eager")
    assert "0" in names(model, "*") and not any("_orig_mod" in n for n in names(model, "*"))
