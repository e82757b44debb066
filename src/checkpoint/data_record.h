// What a checkpoint says of the data that its run was trained on.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/data/identity.h"
#include "src/io/safetensors.h"

namespace convoy {

/// Adds it to a checkpoint's metadata.
void record_data(const DataIdentity& identity, std::map<std::string, std::string>& metadata);

/// Nothing where the checkpoint was written by a version that did not record it. Throws Error that names the
/// file for a record that cannot be read.
std::optional<DataIdentity> data_in(const TensorFile& file, const std::string& name);

/// What its classes are called, in the order of the labels; empty where that is not known. Throws Error.
std::vector<std::string> class_names_in(const TensorFile& file, const std::string& name);
void record_class_names(const std::vector<std::string>& names, std::map<std::string, std::string>& metadata);
/// Names as they are read back from a file, to be compared with those: what is not UTF-8 is replaced.
std::vector<std::string> as_recorded(const std::vector<std::string>& names);

/// Throws Error where the classes of data at hand are called otherwise than those that the weights in `name`
/// were trained for, or stand in another order: labels would mean other classes. Data may have fewer of them,
/// the first ones. Names that are not known are not compared.
void require_same_classes(const std::vector<std::string>& trained, const std::vector<std::string>& data,
                          const std::string& name);

/// What of the data at hand differs from what the checkpoint's run was trained on, for people; empty where
/// nothing does, or the checkpoint does not say.
std::string other_data(const TensorFile& file, const std::string& name, DataIdentity here);

}  // namespace convoy
