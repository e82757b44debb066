#include "src/data/class_names.h"

namespace convoy {

std::vector<std::string> known_class_names(Source source) {
  switch (source) {
    case Source::digits:
    case Source::mnist:
      return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    case Source::fashion_mnist:  // Xiao, Rasul and Vollgraf, 2017
      return {"T-shirt/top", "trouser", "pullover", "dress", "coat",
              "sandal",      "shirt",   "sneaker",  "bag",   "ankle boot"};
    case Source::cifar10:  // batches.meta.txt of the data set, as the next
      return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    case Source::cifar100:  // fine_label_names.txt
      return {"apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
              "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
              "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
              "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
              "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
              "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
              "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
              "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
              "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
              "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
              "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
              "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
              "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
              "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
              "table",       "tank",          "telephone", "television", "tiger",        "tractor",
              "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
              "willow_tree", "wolf",          "woman",     "worm"};
    default:
      return {};
  }
}

}  // namespace convoy
