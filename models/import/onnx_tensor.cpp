#include "models/import/onnx_tensor.h"

#include <cstring>

namespace lockstep::model {
namespace {

// `count` elements of type T out of raw_data or the typed field, whose sizes must agree with it.
template <typename T, typename Field>
std::vector<T> elements(const onnx::TensorProto& t, const Field& field, size_t count) {
    std::vector<T> out;
    if (t.has_raw_data()) {
        if (t.raw_data().size() != count * sizeof(T)) throw Misfit{"data does not fit the dimensions"};
        out.resize(count);
        if (count != 0) memcpy(out.data(), t.raw_data().data(), count * sizeof(T));
        return out;
    }
    if (size_t(field.size()) != count) throw Misfit{"data does not fit the dimensions"};
    out.assign(field.begin(), field.end());
    return out;
}

}  // namespace

size_t count_of(const Dims& dims) {
    size_t n = 1;
    if (dims.size() > 8) throw Misfit{"more than 8 dimensions"};
    for (const int64_t d : dims) {
        if (d < 0 || d > int64_t(kMaxElements))
            throw Misfit{"dimensions " + dims_text(dims) + " out of range"};
        n *= size_t(d);
        if (n > kMaxElements) throw Misfit{"dimensions " + dims_text(dims) + " are too large"};
    }
    return n;
}

std::string dims_text(const Dims& dims) {
    std::string text = "[";
    for (size_t i = 0; i < dims.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(dims[i]);
    return text + "]";
}

std::vector<size_t> storage_order(size_t rank) {
    switch (rank) {
        case 1:
            return {0};
        case 2:
            return {0, 1};
        case 3:
            return {0, 2, 1};
        case 4:
            return {0, 2, 3, 1};
        default:
            throw Misfit{"a tensor of " + std::to_string(rank) + " dimensions; 1 to 4 are supported"};
    }
}

Shape storage_shape(const Dims& dims) {
    Shape shape;
    for (const size_t d : storage_order(dims.size())) {
        if (dims[d] < 1 || dims[d] > 65535) throw Misfit{"dimensions " + dims_text(dims) + " out of range"};
        shape.push_back(int32_t(dims[d]));
    }
    if (shape.size() == 1) shape.insert(shape.begin(), 1);
    if (shape.size() == 3) shape.insert(shape.begin() + 1, 1);
    return shape;
}

void check_batch(const Dims& dims) {
    if (dims.size() > 1 && dims[0] != 1)
        throw Misfit{"dimensions " + dims_text(dims) + ": the first, the batch, must stay 1"};
}

Known read_constant(const onnx::TensorProto& t) {
    Known k;
    k.constant = true;
    k.dims.assign(t.dims().begin(), t.dims().end());
    const size_t count = count_of(k.dims);
    if (t.data_location() == onnx::TensorProto::EXTERNAL)
        throw Misfit{"data in another file is not supported"};
    switch (t.data_type()) {
        case onnx::TensorProto::FLOAT:
            k.real = elements<float>(t, t.float_data(), count);
            break;
        case onnx::TensorProto::DOUBLE: {
            const std::vector<double> wide = elements<double>(t, t.double_data(), count);
            k.real.assign(wide.begin(), wide.end());
            break;
        }
        case onnx::TensorProto::INT64:
            k.integer = true;
            k.whole = elements<int64_t>(t, t.int64_data(), count);
            break;
        case onnx::TensorProto::INT32: {
            k.integer = true;
            const std::vector<int32_t> narrow = elements<int32_t>(t, t.int32_data(), count);
            k.whole.assign(narrow.begin(), narrow.end());
            break;
        }
        case onnx::TensorProto::INT8: {
            k.integer = true;
            const std::vector<int8_t> narrow = elements<int8_t>(t, t.int32_data(), count);
            k.whole.assign(narrow.begin(), narrow.end());
            break;
        }
        case onnx::TensorProto::UINT8: {
            k.integer = k.is_unsigned = true;
            const std::vector<uint8_t> narrow = elements<uint8_t>(t, t.int32_data(), count);
            k.whole.assign(narrow.begin(), narrow.end());
            break;
        }
        default:
            throw Misfit{"a constant of element type " + std::to_string(t.data_type())};
    }
    return k;
}

const onnx::AttributeProto* Attributes::find(const char* name) const {
    for (const onnx::AttributeProto& a : node_.attribute())
        if (a.name() == name) return &a;
    return nullptr;
}

int64_t Attributes::integer(const char* name, int64_t otherwise) const {
    const auto* a = find(name);
    return a != nullptr ? a->i() : otherwise;
}

float Attributes::real(const char* name, float otherwise) const {
    const auto* a = find(name);
    return a != nullptr ? a->f() : otherwise;
}

std::string Attributes::text(const char* name, const char* otherwise) const {
    const auto* a = find(name);
    return a != nullptr ? a->s() : otherwise;
}

Dims Attributes::integers(const char* name, Dims otherwise) const {
    const auto* a = find(name);
    if (a == nullptr) return otherwise;
    return {a->ints().begin(), a->ints().end()};
}

const onnx::TensorProto* Attributes::tensor(const char* name) const {
    const auto* a = find(name);
    return a != nullptr && a->has_t() ? &a->t() : nullptr;
}

}  // namespace lockstep::model
