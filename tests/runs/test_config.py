from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from runs.config import Config, ConfigError, columns_of, lint, parameters_of, read_config, write_config
from runs.kohya import OPTIONS

SOUND = """\
# the lab's usual run
[network]
network_module = "networks.lora"
network_dim = 32
network_alpha = 16   # half of the dim

[data]
resolution = "512,512"
caption_extension = ".txt"
shuffle_caption = true
keep_tokens = 1

[training]
output_name = "bespoke_punks"
max_train_epochs = 10
save_every_n_epochs = 1
learning_rate = 1e-4
text_encoder_lr = 5e-5
lr_scheduler = "cosine_with_restarts"
lr_scheduler_num_cycles = 3
min_snr_gamma = 5
"""


def codes(text: str, honoured: set[str] | None = None) -> set[tuple[str, str]]:
    return {(finding.code, finding.key) for finding in lint(read_config(text), honoured)}


def test_a_sound_config_has_no_findings():
    assert lint(read_config(SOUND)) == []


def test_the_labs_past_config_has_no_errors(shared):
    past = json.loads((shared / "lab-settings.json").read_text())["past_config"]
    findings = lint(read_config(write_config(past)))
    assert {finding.code for finding in findings} == {"output_name_missing"}


def test_sections_are_flattened_as_kohya_does():
    config = read_config('a = 1\n[one]\nseed = 1\n[two]\nseed = 2\n[two.deep]\nflip_aug = true\n[three]\nnote = "x"\n')
    assert config.values["seed"] == 2
    assert config.overridden == ("seed",)
    assert config.nested == ("deep",)
    assert {("set_twice", "seed"), ("nested_table", "deep")} <= codes(config.text)


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("batch_size = 4", "train_batch_size"),
        ("bucket_resolution = 512", "resolution"),
        ("sdxl = false", "script"),
        ("conv_dim = 8", "network_args"),
        ("learning_rat = 1e-4", "`learning_rate`"),
    ],
)
def test_keys_that_kohya_ignores_silently_are_named_with_what_was_meant(line, mend):
    findings = lint(read_config(f"{line}\n{SOUND}"))
    assert [(finding.code, finding.key, finding.line) for finding in findings] == [
        ("ignored_key", line.split(" ")[0], 1)
    ]
    assert mend in findings[0].mend
    assert findings[0].level == "error"


def test_a_missing_caption_extension_is_an_error_and_another_one_too():
    without = SOUND.replace('caption_extension = ".txt"\n', "")
    assert codes(without) == {("missing_caption_extension", "caption_extension")}
    assert codes(SOUND.replace(".txt", ".caption")) == {("other_caption_extension", "caption_extension")}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('train_batch_size = "4"', "wrong_type"),
        ("train_batch_size = true", "wrong_type"),
        ('flip_aug = "yes"', "wrong_type"),
        ('network_args = "conv_dim=8"', "wrong_type"),
        ('network_args = ["conv_dim 8"]', "wrong_type"),
        ('mixed_precision = "fp32"', "outside_choices"),
        ("max_token_length = 200", "outside_choices"),
        ('optimizer_type = "AdamW4bit"', "outside_choices"),
        ("train_batch_size = 0", "out_of_range"),
        ("caption_dropout_rate = 2", "out_of_range"),
        ("noise_offset = -0.1", "out_of_range"),
        ("network_train_unet_only = true\nnetwork_train_text_encoder_only = true", "unet_only_and_text_encoder_only"),
        ("cache_latents = true\ncolor_aug = true", "cache_latents_with_augmentation"),
        ("full_bf16 = true\nmixed_precision = 'fp16'", "full_precision_mismatch"),
        ("max_train_steps = 100", "steps_and_epochs"),
        ("lr_warmup_steps = 100.0", "warmup_share_over_one"),
        ('network_args = ["conv_alpha=4"]', "conv_alpha_without_conv_dim"),
        ("zero_terminal_snr = true", "zero_snr_without_v_prediction"),
        ('save_model_as = "ckpt"', "not_safetensors"),
        ("use_8bit_adam = true\noptimizer_type = 'AdamW'", "two_optimizers"),
    ],
)
def test_wrong_values_and_contradictions_are_found(line, code):
    assert code in {found for found, _ in codes(f"{line}\n{SOUND}")}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("network_dim = 32\n", "", "alpha_without_dim"),
        ('"cosine_with_restarts"', '"cosine"', "cycles_without_restarts"),
        ('"cosine_with_restarts"', '"constant"\nlr_warmup_steps = 10', "warmup_with_constant"),
        ('"cosine_with_restarts"', '"cosin_with_restarts"', "outside_choices"),
        ('"512,512"', "512", "wrong_type"),
        ('"512,512"', '"512x512"', "resolution"),
        ('"512,512"', '"500,500"', "resolution"),
        ("shuffle_caption = true", "shuffle_caption = false", "keep_tokens_unused"),
        ("save_every_n_epochs = 1\n", "", "epochs_not_saved"),
        ('"networks.lora"', '"lycoris.kohya"', "network_module"),
    ],
)
def test_a_change_to_a_sound_config_is_found(old, new, code):
    assert old in SOUND
    assert code in {found for found, _ in codes(SOUND.replace(old, new))}


def test_keys_outside_the_honoured_ones_are_named_unless_they_ask_for_nothing():
    text = f"color_aug = false\nloss_type = 'huber'\nhuber_c = 0.1\n{SOUND}"
    honoured = {*read_config(SOUND).values}
    assert codes(text, honoured) == {("not_honoured", "loss_type")}
    assert codes(text) == set()


@pytest.mark.parametrize(
    ("text", "line", "mend"),
    [
        ("seed = 1\nflip_aug = True\n", 2, "true in small letters"),
        ("seed = 1\n\nseed = 2\n", 3, "keep one line"),
        ("output_name = punks\n", 1, "quotation marks"),
        ("[network\nnetwork_dim = 4\n", 1, "brackets"),
        ('output_name = "punks', 1, "quotation marks"),
        ("clip_skip = None\n", 1, "leave the line out"),
    ],
)
def test_a_syntax_error_names_file_line_and_mend(tmp_path, text, line, mend):
    file = tmp_path / "training config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"training config\.toml, line {line}: .*{mend}"):
        read_config(file)


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"\xef\xbb\xbfseed = 1\n", "byte order mark"), (b'seed = 1\nname = "\xff"\n', "line 2: is not UTF-8")],
)
def test_a_file_in_another_encoding_is_refused_by_name(tmp_path, raw, words):
    file = tmp_path / "c.toml"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        read_config(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "absent.toml")


def test_values_come_back_from_what_was_written_without_loss():
    values = {
        "learning_rate": 5e-05,
        "network_alpha": 0.5,
        "output_name": 'quotes " and \\ and \n a line, ümlaut',
        "network_args": ["conv_dim=8", "conv_alpha=4"],
        "text_encoder_lr": [1e-5, 2e-5],
        "flip_aug": True,
        "seed": 42,
        "lr_warmup_steps": 0.1,
        "a key of another tool": "kept",
    }
    assert read_config(write_config({**values, "clip_skip": None})).values == values


def test_a_config_goes_to_the_mirrored_columns_and_back_without_loss():
    values = {**read_config(SOUND).values, "network_args": ["conv_dim=8", "conv_alpha=0.5"], "flip_aug": False}
    columns = columns_of(values)
    assert columns["resolution"] == "512x512"
    assert columns["lr_scheduler_cycles"] == 3
    assert columns["train_batch_size"] == 1
    assert columns["optimizer_type"] == "AdamW"
    assert (columns["all_parameters"]["conv_dim"], columns["all_parameters"]["conv_alpha"]) == (8, 0.5)
    stored = {**columns, "all_parameters": json.loads(json.dumps(columns["all_parameters"]))}
    assert parameters_of(stored) == values
    assert read_config(write_config(parameters_of(stored))).values == values


def test_a_fraction_in_a_whole_number_column_is_kept_in_all_parameters_only():
    columns = columns_of({"network_alpha": 0.5, "min_snr_gamma": 5.0, "text_encoder_lr": [1e-5]})
    assert columns["network_alpha"] is None
    assert columns["min_snr_gamma"] == 5
    assert columns["text_encoder_lr"] == 1e-5
    assert parameters_of(columns)["network_alpha"] == 0.5


def test_a_past_row_without_all_parameters_becomes_a_config():
    row = {"network_dim": 32, "network_alpha": 16, "resolution": "512x512", "lr_scheduler_cycles": 3, "unet_lr": None}
    assert parameters_of(row) == {
        "network_dim": 32,
        "network_alpha": 16,
        "resolution": "512,512",
        "lr_scheduler_num_cycles": 3,
    }


def test_a_column_edited_since_wins_over_all_parameters():
    columns = {**columns_of(read_config(SOUND)), "network_dim": 8}
    assert parameters_of(columns)["network_dim"] == 8
    assert parameters_of(columns)["keep_tokens"] == 1


def test_the_table_is_kohyas_whole_list_of_options(shared):
    theirs = {row["name"]: row for row in json.loads((shared / "kohya" / "options.json").read_text())}
    assert {*OPTIONS} == {*theirs}
    for name, option in OPTIONS.items():
        row = theirs[name]
        assert (option.type, option.default, option.many) == (row["type"], row["default"], row["many"])
        assert [*option.choices] == [choice for choice in row["choices"] or [] if choice is not None]


def test_the_command_ends_with_an_error_only_when_something_must_be_mended(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(SOUND)
    out = StringIO()
    call_command("lint_config", str(file), stdout=out)
    assert "nothing to mend" in out.getvalue()

    file.write_text(f"batch_size = 4\n{SOUND}")
    out = StringIO()
    with pytest.raises(CommandError, match="1 to mend"):
        call_command("lint_config", str(file), "--format", "json", stdout=out)
    (finding,) = json.loads(out.getvalue())["findings"]
    assert (finding["code"], finding["key"], finding["line"]) == ("ignored_key", "batch_size", 1)

    file.write_text("batch_size = \n")
    with pytest.raises(CommandError, match="line 1"):
        call_command("lint_config", str(file), stdout=StringIO())


def test_values_of_any_kind_are_named_and_never_a_crash():
    odd = [0, -1, 0.5, float("nan"), "", "x", True, [], [1], ["a=b"], ["conv_dim=x"], {"a": 1}, [[]], 10**30]
    for name in (*OPTIONS, "batch_size", "conv_dim"):
        for value in odd:
            values = {name: value}
            lint(Config(values=values), {*OPTIONS})
            parameters_of(columns_of(values))
