// Every class of bad input, with the message it earns.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/config/support.h"

namespace convoy {
namespace {

using testing::minimal;
using testing::parse;
using testing::refusal;

struct Case {
  const char* text;     ///< appended to the minimal configuration: its first line is line 4
  const char* message;  ///< what the refusal must contain
};

class BadKey : public ::testing::TestWithParam<Case> {};

TEST_P(BadKey, IsRefusedByLineAndPath) {
  const std::string message = refusal(minimal + GetParam().text + "\n");
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadKey,
    ::testing::Values(
        // Unknown and repeated keys.
        // What other trainers call things, and keys of other sections.
        Case{"train: {batch_size: 3}", R"(train.batch_size: unknown key (did you mean "global_batch"?))"},
        Case{"batch: 3", R"(net.yaml:4: batch: unknown key (did you mean "train.global_batch"?))"},
        Case{"lr: 3", R"(net.yaml:4: lr: unknown key (did you mean "optimizer.lr"?))"},
        Case{"epochs: 3", R"(net.yaml:4: epochs: unknown key (did you mean "train.epochs"?))"},
        Case{"train: {lr: 3}", R"(train.lr: unknown key (did you mean "optimizer.lr"?))"},
        Case{"optimizer: {learning-rate: 3}", R"(unknown key (did you mean "lr"?))"},
        Case{"train: {precision: float16}", R"(got "float16" (did you mean "fp16"?))"},
        Case{"device: CUDA", R"(got "CUDA" (did you mean "cuda"?))"},
        Case{"tarin: {epochs: 3}", R"(net.yaml:4: tarin: unknown key (did you mean "train"?))"},
        Case{"train:\n  epoch: 3", R"(net.yaml:5: train.epoch: unknown key (did you mean "epochs"?))"},
        Case{"train: {zzzzzzzzz: 3}",
             "net.yaml:4: train.zzzzzzzzz: unknown key; expected one of epochs, global_batch"},
        Case{"train:\n  epochs: 3\n  epochs: 4",
             "net.yaml:6: train.epochs: given twice, first at net.yaml:5"},
        Case{"seed: 1\nseed: 1", "net.yaml:5: seed: given twice, first at net.yaml:4"},
        Case{"data:\n  normalize: {mean: 0, mean: 0}", "net.yaml:5: data.normalize.mean: given twice"},
        Case{"train: {<<: {epochs: 3}}", "merge keys (<<) are not supported"},
        Case{"{a: b}: 3", "a key must be a word"}, Case{"\"a\\x01b\": 3", R"("a\x01b": unknown key)"},
        // Types.
        Case{"train: 3", "net.yaml:4: train: expected a section with keys epochs, global_batch"},
        Case{"train:", "net.yaml:4: train: expected a section with keys epochs, global_batch"},
        Case{"train: {epochs: 3.5}", "train.epochs: expected integer in [1, 1000000], got \"3.5\""},
        Case{"train: {epochs: 3.0}", "train.epochs: expected integer"},
        Case{"train: {epochs: 1e3}", "train.epochs: expected integer"},
        Case{"train: {epochs: \"3\"}",
             "train.epochs: expected integer in [1, 1000000], got the string \"3\""},
        Case{"train: {epochs: [3]}", "train.epochs: expected integer in [1, 1000000], got a list"},
        Case{"train: {epochs: {a: 3}}", "got a map of keys"}, Case{"train: {epochs: }", "got nothing"},
        Case{"train: {epochs: ~}", "got nothing"}, Case{"train: {epochs: null}", "got nothing"},
        Case{"train: {epochs: 3 epochs}", "got \"3 epochs\""},
        Case{"train: {recompute: 512}", "train.recompute: expected true or false, got \"512\""},
        Case{"train: {drop_last: yes}", "train.drop_last: expected true or false, got \"yes\""},
        Case{"train: {drop_last: 'true'}", "got the string \"true\""},
        Case{"optimizer: {lr: fast}", "optimizer.lr: expected number > 0, got \"fast\""},
        Case{"optimizer: {lr: .inf}", "optimizer.lr: expected number > 0, got \".inf\""},
        Case{"optimizer: {lr: nan}", "optimizer.lr: expected number > 0, got \"nan\""},
        Case{"optimizer: {lr: 1e99}", "optimizer.lr: \"1e99\" does not fit"},
        Case{"name: [a]", "name: expected text, got a list"},
        Case{"name:", "name: expected text, got nothing"},
        // Ranges.
        Case{"seed: -1", "seed: expected integer >= 0, got \"-1\""},
        Case{"seed: 18446744073709551616", "seed: \"18446744073709551616\" does not fit"},
        Case{"train: {epochs: 0}", "train.epochs: out of range: expected integer in [1, 1000000], got 0"},
        Case{"train: {epochs: 99999999999}", "train.epochs: \"99999999999\" does not fit"},
        Case{"train: {global_batch: 0}", "train.global_batch: out of range"},
        Case{"train: {label_smoothing: 1}",
             "train.label_smoothing: out of range: expected number in [0, 1), got 1"},
        Case{"train: {bucket_mb: 0}", "train.bucket_mb: out of range"},
        Case{"train: {early_stop: {patience: 0}}", "train.early_stop.patience: out of range"},
        Case{"train: {early_stop: 5}", "train.early_stop: expected a section with keys metric, patience"},
        Case{"optimizer: {lr: 0}", "optimizer.lr: out of range: expected number > 0, got 0"},
        Case{"optimizer: {momentum: 1}",
             "optimizer.momentum: out of range: expected number in [0, 1), got 1"},
        Case{"optimizer: {weight_decay: -1}", "optimizer.weight_decay: out of range"},
        Case{"optimizer: {name: adam, beta2: 1}", "optimizer.beta2: out of range"},
        Case{"schedule: {warmup_epochs: 1, warmup_steps: 9}",
             "schedule.warmup_steps: cannot be combined with warmup_epochs"},
        Case{"schedule: {name: step, milestones: 1, milestone_steps: 9}",
             "schedule.milestone_steps: cannot be combined with milestones"},
        Case{"schedule: {name: step, milestone_steps: [9, 8]}",
             "schedule.milestone_steps: must ascend; 9 stands before 8"},
        Case{"train: {loss: hinge}",
             "train.loss: unknown loss function \"hinge\"; the loss functions are cross_entropy, focal"},
        Case{"train: {loss: {focal: {gamma: 0}}}", "train.loss.focal.gamma: out of range"},
        Case{"train: {loss: {cross_entropy: 1}}", "train.loss.cross_entropy: takes no arguments"},
        Case{"train: {class_weights: balance}",
             "train.class_weights: expected balanced | list of one number >= 0 per class, got \"balance\" "
             "(did you mean \"balanced\"?)"},
        Case{"train: {class_weights: [1, -1]}", "train.class_weights[1]: out of range"},
        Case{"train: {class_weights: [0, 0]}", "train.class_weights: all weights are 0"},
        Case{"data: {balance: true}\ntrain: {class_weights: balanced}",
             "train.class_weights: balanced evens out classes"},
        Case{"schedule: {warmup_epochs: -1}", "schedule.warmup_epochs: out of range"},
        Case{"checkpoint: {keep: -1}", "checkpoint.keep: out of range"},
        Case{"checkpoint: {every_steps: -1}", "checkpoint.every_steps: out of range"},
        Case{"checkpoint: {every_epochs: 0}", "checkpoint.every_epochs: out of range"},
        // Words.
        Case{"device: gpu",
             "device: expected auto | cpu | cuda | reference, got \"gpu\" (did you mean \"cuda\"?)"},
        Case{"optimizer: {name: adan}", "got \"adan\" (did you mean \"adam\"?)"},
        Case{"optimizer: adagrad",
             "optimizer.name: expected sgd | adam | adamw | rmsprop | lion | lamb, got \"adagrad\""},
        Case{"train: {precision: fp8}",
             "train.precision: expected fp32 | tf32 | fp16 | bf16 | fp64, got \"fp8\""},
        Case{"data: {source: folder}",
             "net.yaml:4: data.path: missing; this source needs the path of a folder"},
        Case{"data: {source: packed}",
             "net.yaml:4: data.path: missing; this source needs the path of a file"},
        Case{"data: {test: 0.1}", "data.test: expected auto | none, got"},
        Case{"data: {source: packed, path: x, max_bad: 1}", "data.max_bad: only with source: folder"},
        Case{"data: {source: folder, path: x, resize: 20}",
             "data.resize: 20 is less than model.input's larger"},
        Case{"data: {source: folder, path: x, resident: true}", "pictures are read batch by batch"},
        Case{"data: {resize: 300}", "data.resize: only with source: folder | packed"},
        Case{"data: {augment: [random_resized_crop: [0.1, 1]]}", "only with source: folder | packed"},
        Case{"data: {augment: [random_resized_crop: {scale: [1, 0.1]}]}", "give the smaller value first"},
        Case{"data: {augment: [random_resized_crop: {scale: [0, 1]}]}", "random_resized_crop.scale"},
        Case{"data: {source: imagenet}", "data.source: expected digits | shapes3d"},
        // Data.
        Case{"data: {source: mnist}",
             "net.yaml:4: data.path: missing; this source needs the path of a folder"},
        Case{"data: {source: synthetic, synthetic: {image: [3, 8]}}",
             "net.yaml:4: data.synthetic.image: expected 3 to 4 values, got 2"},
        Case{"data: {source: synthetic, synthetic: {train: 0}}", "data.synthetic.train: out of range"},
        Case{"data: {source: synthetic, synthetic: {image: [65536, 65536, 65536, 65536]}}",
             "data.synthetic.image: an image of more than 2^31 - 1 elements is too large"},
        Case{"data: {synthetic: {classes: 3}}", "data.synthetic: only with source: synthetic"},
        Case{"data: {validation: train}", "data.validation: expected test | number in (0, 1), got \"train\""},
        Case{"data: {validation: 1}", "data.validation: out of range: expected number in (0, 1), got 1"},
        Case{"data: {validation: 0}", "data.validation: out of range"},
        Case{"data: {validation: [0.1]}", "data.validation: expected test | number in (0, 1), got a list"},
        Case{"data: {resident: maybe}", "data.resident: expected auto | true | false, got \"maybe\""},
        Case{"data: {normalize: {std: 0}}", "data.normalize.std: out of range: expected number > 0, got 0"},
        Case{"data: {normalize: {std: [1, -1]}}", "data.normalize.std[1]: out of range"},
        Case{"data: {normalize: {mean: []}}", "data.normalize.mean: expected 1 to 1024 values, got 0"},
        Case{"data: {normalize: {mean: [0, 0], std: [1, 1, 1]}}",
             "data.normalize: mean has 2 values, std has 3"},
        Case{"data: {normalize: {mean: [0, 0, 0]}}",
             "data.normalize.mean: 3 values for model.input's 1 channels"},
        Case{"data: {normalize: true}",
             "data.normalize: expected a section with keys mean, std; got \"true\""},
        Case{"data: {augment: crop}", "data.augment: expected a list such as [{crop: {pad: 2}}"},
        Case{"data: {augment: [crop]}", "data.augment[0].crop.pad: missing"},
        Case{"data: {augment: [{crop: {pad: -1}}]}", "data.augment[0].crop.pad: out of range"},
        Case{"data: {augment: [{crop: {pad: 999, mode: reflect}}]}",
             "net.yaml:4: data.augment: crop.pad: 999 with mode: reflect must be less than"},
        Case{"data: {augment: [{crop: {pad: 2, mode: wrap}}]}",
             "crop.mode: expected zero | reflect, got \"wrap\""},
        Case{"data: {augment: [{flip: sideways}]}",
             "flip.direction: expected horizontal | vertical | both, got \"sideways\""},
        Case{"data: {augment: [{flip: horizontal}, {flip: horizontal}]}",
             "data.augment[1]: flip given twice"},
        Case{"data: {augment: [{turn: 5}]}",
             "data.augment[0]: unknown augmentation \"turn\"; the augmentations are random_resized_crop, "
             "crop"},
        Case{"data: {augment: [RandomRotation]}",
             "unknown augmentation \"RandomRotation\" (did you mean \"rotate\"?)"},
        Case{"data: {augment: [rotate]}", "data.augment[0].rotate.degrees: missing"},
        Case{"data: {augment: [{rotate: 0}]}",
             "rotate.degrees: out of range: expected number in (0, 180], got 0"},
        Case{"data: {augment: [equalize, equalize]}", "data.augment[1]: equalize given twice"},
        Case{"data: {augment: [{trivial_augment: 3}]}", "trivial_augment: takes no arguments"},
        Case{"data: {augment: [{rand_augment: {n: 17}}]}", "rand_augment.n: out of range"},
        Case{"data: {augment: [{rand_augment: {m: 31}}]}", "rand_augment.m: out of range"},
        Case{"data: {augment: [affine]}",
             "data.augment[0].affine: needs a motion: degrees, translate, scale"},
        Case{"data: {augment: [{affine: {scale: [2, 1]}}]}", "affine.scale: 2 comes before 1"},
        Case{"data: {augment: [{affine: {shear: [1, 2, 3]}}]}",
             "affine.shear: expected 1 to 2 values, got 3"},
        Case{"data: {augment: [{gaussian_blur: 4}]}",
             "gaussian_blur.kernel: 4 is even; expected an odd number"},
        Case{"data: {augment: [{gaussian_blur: 63}]}",
             "net.yaml:4: data.augment: gaussian_blur.kernel: half of 63 must be less than model.input's"},
        Case{"data: {augment: [{posterize: 9}]}", "posterize.bits: out of range"},
        Case{"data: {augment: [{grayscale: 0}]}", "grayscale.probability: out of range"},
        Case{"data: {augment: [{color_jitter: {}}]}", "data.augment[0].color_jitter: needs a strength"},
        Case{"data: {augment: [{color_jitter: {contrast: -1}}]}", "color_jitter.contrast: out of range"},
        Case{"data: {augment: [random_erasing]}", "random_erasing.probability: missing"},
        Case{"data: {augment: [{random_erasing: 1.5}]}", "random_erasing.probability: out of range"},
        Case{"data: {augment: [{random_erasing: {probability: 1, area: [0.3, 0.1]}}]}",
             "random_erasing.area: 0.3 comes before 0.1"},
        Case{"data: {augment: [{random_erasing: {probability: 1, ratio: 1}}]}",
             "ratio: expected a list of 2"},
        Case{"data: {augment: [{mixup: 0}]}", "data.augment[0].mixup.alpha: out of range"},
        Case{"data: {augment: [cutmix]}", "data.augment[0].cutmix.alpha: missing"},
        // Keys that need or exclude each other.
        Case{"optimizer: {nesterov: true}", "optimizer.nesterov: needs momentum > 0"},
        Case{"optimizer: {name: adam, momentum: 0.9}", "optimizer.momentum: only with name: sgd | rmsprop"},
        Case{"optimizer: {beta1: 0.9}", "optimizer.beta1: only with name: adam | adamw | lion"},
        Case{"optimizer: {name: lion, epsilon: 1e-8}",
             "optimizer.epsilon: only with name: adam | adamw | rmsprop"},
        Case{"optimizer: {name: rmsprop, alpha: 1}", "optimizer.alpha: out of range"},
        Case{"schedule: {gamma: 0.5}", "schedule.gamma: only with name: step"},
        Case{"schedule: {name: one_cycle, warmup_epochs: 0.5}",
             "schedule.warmup_epochs: only with name: constant | step | linear | cosine"},
        Case{"schedule: step", "schedule.milestones: missing"},
        Case{"schedule: {name: step, milestones: [3, 2]}",
             "schedule.milestones: must ascend; 3 stands before 2"},
        Case{"schedule: {name: step, milestones: [2, 2]}", "schedule.milestones: must ascend"},
        Case{"train: {precision: fp64}", "train.precision: fp64 needs device: reference"},
        Case{"device: cpu\ntrain: {precision: tf32}", "train.precision: tf32 needs device: cuda"},
        Case{"device: reference\ntrain: {precision: fp16}", "train.precision: fp16 needs device: cuda"},
        // Names of runs.
        Case{"name: a/b", "name: expected at most 100 letters, digits"},
        Case{"name: ..", "name: expected at most"}, Case{"name: ''", "name: expected text"}));

TEST(BadConfig, ModelIsRequired) {
  EXPECT_EQ(refusal("seed: 3\n"),
            "net.yaml:1: model: missing; expected a section with keys input, layers, spare_scores, init");
  EXPECT_NE(refusal("model: {layers: [relu]}\n").find("net.yaml:1: model.input: missing"), std::string::npos);
  EXPECT_NE(refusal("model: {input: [1, 2, 3]}\n").find("net.yaml:1: model.layers: missing"),
            std::string::npos);
  EXPECT_NE(refusal("model: {input: [1, 2, 3], layers: []}\n").find("expected at least one layer"),
            std::string::npos);
}

TEST(BadConfig, InputHasThreeOrFourNumbers) {
  const auto message = [](const std::string& input) {
    return refusal("model: {layers: [relu], input: " + input + "}\n");
  };
  EXPECT_NE(message("[28, 28]").find("model.input: expected 3 to 4 values, got 2"), std::string::npos);
  EXPECT_NE(message("28").find("model.input: expected a list of 3 to 4"), std::string::npos);
  EXPECT_NE(message("[1, 0, 28]").find("model.input[1]: out of range"), std::string::npos);
}

TEST(BadConfig, OperationsOnPicturesNeedPictures) {
  const auto message = [](const std::string& input, const std::string& operation) {
    return refusal("model: {layers: [flatten, {linear: 10}], input: " + input + "}\ndata: {augment: [" +
                   operation + "]}\n");
  };
  EXPECT_EQ(
      message("[3, 4, 8, 8]", "rotate: 5"),
      "net.yaml:2: data.augment: rotate: is for pictures, but model.input [3, 4, 8, 8] is a volume; leave it "
      "out");
  EXPECT_EQ(
      message("[2, 8, 8]", "trivial_augment"),
      "net.yaml:2: data.augment: trivial_augment: needs images of 1 or 3 channels, but model.input has 2; "
      "leave it out");
  EXPECT_EQ(
      message("[25, 8, 8]", "gaussian_blur: 3"),
      "net.yaml:2: data.augment: gaussian_blur: can do up to 24 channels, but model.input has 25; leave it "
      "out");
  for (const char* fine : {"rotate: 5", "posterize: 3", "solarize: 3", "equalize", "gaussian_blur: 3"}) {
    EXPECT_NO_THROW(parse(
        std::string("model: {layers: [flatten, {linear: 10}], input: [2, 1, 8, 8]}\ndata: {augment: [") +
        fine + "]}\n"))
        << fine;
  }
}

TEST(BadConfig, EveryMistakeIsTold) {
  const std::string message = refusal(minimal + "sede: 1\ntrain: {epochs: x, batch: 3}\ndevice: tpu\n");
  for (const char* part :
       {"net.yaml:4: sede", "net.yaml:5: train.batch", "net.yaml:5: train.epochs", "net.yaml:6: device"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(BadConfig, SyntaxNamesTheLine) {
  EXPECT_NE(refusal("a: [1\nb: 2\n").find("net.yaml:2: not valid YAML"), std::string::npos);
  EXPECT_NE(refusal("a: *nowhere\n").find("net.yaml:1: not valid YAML"), std::string::npos);
  const auto ends_with = [](const std::string& text, const std::string& end) {
    EXPECT_TRUE(refusal(text).ends_with(end)) << refusal(text);
  };
  ends_with("train:\n\tepochs: 3\n", "; line 2 begins with a tab: indent with spaces");
  ends_with("train:\n  epochs:3\n  precision: fp32\n", "; line 2 needs a space after the colon: epochs: ...");
  ends_with("train:\n  epochs 3\n  precision: fp32\n", "; line 2 has no colon: epochs: ...");
  ends_with("train:\n    epochs: 3\n  precision: fp32\n", "; indent all keys of a section alike");
  EXPECT_EQ(refusal("a: *nowhere\n").find(';'), std::string::npos);
  EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"),
            "net.yaml:2: a second YAML document, or text after the first; a configuration is one document");
  // What yaml-cpp takes for a document without end.
  for (const char* endless : {",", "&ab,\nname: x\n", "a: 1\n...\n,"}) {
    EXPECT_NE(refusal(endless).find("a configuration is one document"), std::string::npos) << endless;
    EXPECT_NE(refusal(minimal, {std::string("name=") + endless}).find("a configuration is one document"),
              std::string::npos);
  }
}

TEST(BadConfig, WhatIsNoConfiguration) {
  EXPECT_EQ(refusal(""), "net.yaml: empty; expected a configuration");
  EXPECT_EQ(refusal("# nothing\n"), "net.yaml: empty; expected a configuration");
  EXPECT_EQ(refusal(std::string("\x7f"
                                "ELF\0\1",
                                6)),
            "net.yaml: not a text file; expected YAML in UTF-8");
  for (const char* broken : {"\xff", "\xc3", "\x80", "\xe2\x82z"})
    EXPECT_NE(refusal(minimal, {std::string("data.path=") + broken}).find("UTF-8"), std::string::npos);
  EXPECT_EQ(refusal("hello"), "net.yaml: expected `key: value` lines, got \"hello\"");
  EXPECT_EQ(refusal("- a\n"), "net.yaml: expected `key: value` lines, got a list");
  EXPECT_NE(refusal(std::string(2 << 20, 'a')).find("2097152 bytes are too many for a configuration"),
            std::string::npos);
}

TEST(BadConfig, AliasesCannotBlowUp) {
  EXPECT_EQ(refusal("b: 1\na: &a [*a]\n"), "net.yaml:2: this alias is inside the value that it refers to");
  // Each is shallow by itself.
  const std::string forty(40, '['), end(40, ']');
  EXPECT_NE(refusal("a: &a " + forty + end + "\nb: " + forty + "*a" + end).find("nested more than 64 deep"),
            std::string::npos);
  EXPECT_NE(refusal(std::string(20000, '[')).find("nested more than 64 deep"), std::string::npos);
  std::string bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
  for (int i = 1; i < 9; ++i) {
    std::string row;
    for (int j = 0; j < 10; ++j) row += fmt::format("{}*a{}", j > 0 ? ", " : "", i - 1);
    bomb += fmt::format("a{0}: &a{0} [{1}]\n", i, row);
  }
  EXPECT_NE(refusal(bomb).find("more than 20000 values"), std::string::npos);
  // An anchor keeps a copy: what is anchored at every level counts at every level.
  std::string nested;
  for (int i = 0; i < 60; ++i) nested += fmt::format("&b{} [", i);
  for (int i = 0; i < 400; ++i) nested += "1, ";
  EXPECT_NE(refusal("a: " + nested + std::string(60, ']')).find("more than 20000 values"), std::string::npos);
}

TEST(BadOverride, NamesTheCommandLine) {
  EXPECT_EQ(refusal(minimal, {"train.epochs=abc"}),
            "command line: train.epochs=abc: train.epochs: expected integer in [1, 1000000], got \"abc\"");
  EXPECT_EQ(refusal(minimal, {"train.epoch=3"}),
            "command line: train.epoch=3: train.epoch: unknown key (did you mean \"epochs\"?)");
  EXPECT_EQ(refusal(minimal, {"optimizer={name: adam, momentum: 0.5}"}),
            "command line: optimizer={name: adam, momentum: 0.5}: optimizer.momentum: only with name: sgd | "
            "rmsprop");
  EXPECT_EQ(refusal(minimal, {"tarin.epochs=3"}),
            "command line: tarin.epochs=3: tarin: unknown key (did you mean \"train\"?)");
  EXPECT_NE(refusal(minimal, {"train={epochs: 1, epochs: 2}"}).find("train.epochs: given twice"),
            std::string::npos);
  EXPECT_NE(
      refusal(minimal, {"train.epochs="}).find("train.epochs: expected integer in [1, 1000000], got nothing"),
      std::string::npos);
}

TEST(BadOverride, WhatIsNoAssignment) {
  for (const char* text : {"train", "=3", ""}) {
    EXPECT_NE(refusal(minimal, {text}).find("expected key=value without spaces, e.g. train.epochs=5"),
              std::string::npos);
  }
  for (const char* text : {"train.=3", ".seed=3", "train..epochs=3"}) {
    EXPECT_NE(refusal(minimal, {text}).find("empty key"), std::string::npos);
  }
  EXPECT_NE(refusal(minimal, {"seed=[1"}).find("command line: seed=[1: not valid YAML"), std::string::npos);
  EXPECT_TRUE(refusal(minimal, {"model.input=[3,"})
                  .ends_with("needs quotes in the shell: 'model.input=[3, 64, 64]'"));
  EXPECT_NE(refusal(minimal + "seed: 3\n", {"seed.x=1"}).find("seed is \"3\" and has no keys"),
            std::string::npos);
}

TEST(BadOverride, EntriesOfLists) {
  const auto message = [](const std::string& assignment) {
    const std::string text = refusal(
        "model:\n  input: [1, 8, 8]\n  layers: [{conv: {out: 2, kernel: 3}}, relu, flatten, linear: 10]\n",
        {assignment});
    EXPECT_EQ(text.find("command line: " + assignment + ": "), 0u);
    return text.substr(std::min(text.size(), assignment.size() + 16));
  };
  EXPECT_EQ(message("model.layers.4.linear.out=3"),
            "model.layers has 4 entries, counted from 0; there is no entry 4");
  EXPECT_EQ(message("model.layers.-1.linear.out=3"),
            "model.layers has 4 entries, counted from 0; there is no entry -1");
  EXPECT_EQ(message("model.layers[99999999999999999999].linear.out=3"),
            "model.layers has 4 entries, counted from 0; there is no entry 99999999999999999999");
  EXPECT_EQ(message("model.layers.0.maxpool.kernel=3"), "model.layers[0] is \"conv\", not \"maxpool\"");
  EXPECT_EQ(message("model.layers.1.gelu.x=3"), "model.layers[1] is \"relu\", not \"gelu\"");
  EXPECT_EQ(message("model.layers.conv.kernel=3"),
            "model.layers is a list of 4 entries; name one by its number from 0, e.g. model.layers[0].conv");
  EXPECT_EQ(message("model.layers[x].conv.kernel=3"), "expected the number of an entry in [], got \"x\"");
  EXPECT_EQ(message("model.layers[].conv.kernel=3"), "empty key in \"model.layers[].conv.kernel\"");
  EXPECT_EQ(message("model.layers.1.relu.slope=3"),
            "model.layers[1].relu: takes no arguments, got a map of keys");
  EXPECT_EQ(message("model.layers.0.conv.kernel=x"),
            "model.layers[0].conv.kernel: expected integer in [1, 1024], got \"x\"");
  EXPECT_EQ(message("model.layers.0.conv.kernal=5"),
            "model.layers[0].conv.kernal: unknown key (did you mean \"kernel\"?)");
}

TEST(BadOverride, KeysThatCannotBeRemoved) {
  const auto message = [](const std::string& removal) { return refusal(minimal, {removal}); };
  EXPECT_EQ(
      message("~train.epoch"),
      "command line: ~train.epoch: train.epoch: the file does not set it (did you mean \"train.epochs\"?)");
  EXPECT_EQ(message("~zzz.zzzzzzz"), "command line: ~zzz.zzzzzzz: zzz.zzzzzzz: the file does not set it");
  EXPECT_EQ(message("~train.epochs=3"),
            "command line: ~train.epochs=3: ~key removes a key and takes no value");
  EXPECT_EQ(message("~"), "command line: ~: empty key in \"\"");
  EXPECT_EQ(
      message("~model.layers[7]"),
      "command line: ~model.layers[7]: model.layers has 2 entries, counted from 0; there is no entry 7");
  EXPECT_NE(message("~model.input").find("model.input: missing"), std::string::npos);
}

TEST(BadFile, MissingOrDirectory) {
  const auto message = [](const std::string& path) -> std::string {
    try {
      load_config(path, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message("no/such.yaml"), "no/such.yaml: no such file");
  EXPECT_EQ(message("/"), "/: a directory; expected a YAML file");
  EXPECT_EQ(message("/dev/null"), "cannot read /dev/null: it is a device; name a file");
}

}  // namespace
}  // namespace convoy
