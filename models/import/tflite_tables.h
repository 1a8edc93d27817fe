// The tables of a TensorFlow Lite file that the importer reads, by field number.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstring>

namespace lockstep::model::tflite {

constexpr flatbuffers::voffset_t field(int number) {
    return flatbuffers::voffset_t(4 + 2 * number);
}

template <typename T>
using VectorOf = flatbuffers::Vector<T>;
template <typename T>
using TablesOf = flatbuffers::Vector<flatbuffers::Offset<T>>;

// Options of an operator: scalars only. Which table it is depends on the operator, so each field is
// checked against the end of the file when it is read.
struct Options : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const { return VerifyTableStart(v) && v.EndTable(); }
    template <typename T>
    T get(int number, T otherwise, const uint8_t* end) const {
        const uint8_t* at = GetAddressOf(field(number));
        if (at == nullptr || at >= end || size_t(end - at) < sizeof(T)) return otherwise;
        memcpy(&otherwise, at, sizeof(T));
        return otherwise;
    }
};

struct OperatorCode : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyField<int8_t>(v, field(0), 1) && VerifyOffset(v, field(1)) &&
               v.VerifyString(custom()) && VerifyField<int32_t>(v, field(3), 4) && v.EndTable();
    }
    // Older files keep the number in a byte, newer ones in an int32; the larger one counts.
    int32_t builtin() const {
        const int32_t old = GetField<uint8_t>(field(0), 0), now = GetField<int32_t>(field(3), 0);
        return old > now ? old : now;
    }
    const flatbuffers::String* custom() const { return GetPointer<const flatbuffers::String*>(field(1)); }
};

struct Quantisation : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyOffset(v, field(2)) && v.VerifyVector(scale()) &&
               VerifyOffset(v, field(3)) && v.VerifyVector(zero_point()) &&
               VerifyField<int32_t>(v, field(6), 4) && v.EndTable();
    }
    const VectorOf<float>* scale() const { return GetPointer<const VectorOf<float>*>(field(2)); }
    const VectorOf<int64_t>* zero_point() const { return GetPointer<const VectorOf<int64_t>*>(field(3)); }
    int32_t dimension() const { return GetField<int32_t>(field(6), 0); }
};

struct Tensor : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyOffset(v, field(0)) && v.VerifyVector(shape()) &&
               VerifyField<int8_t>(v, field(1), 1) && VerifyField<uint32_t>(v, field(2), 4) &&
               VerifyOffset(v, field(3)) && v.VerifyString(name()) && VerifyOffset(v, field(4)) &&
               v.VerifyTable(quantisation()) && v.EndTable();
    }
    const VectorOf<int32_t>* shape() const { return GetPointer<const VectorOf<int32_t>*>(field(0)); }
    int8_t type() const { return GetField<int8_t>(field(1), 0); }
    uint32_t buffer() const { return GetField<uint32_t>(field(2), 0); }
    const flatbuffers::String* name() const { return GetPointer<const flatbuffers::String*>(field(3)); }
    const Quantisation* quantisation() const { return GetPointer<const Quantisation*>(field(4)); }
};

struct Operator : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyField<uint32_t>(v, field(0), 4) && VerifyOffset(v, field(1)) &&
               v.VerifyVector(inputs()) && VerifyOffset(v, field(2)) && v.VerifyVector(outputs()) &&
               VerifyField<uint8_t>(v, field(3), 1) && VerifyOffset(v, field(4)) &&
               v.VerifyTable(options()) && v.EndTable();
    }
    uint32_t code() const { return GetField<uint32_t>(field(0), 0); }
    const VectorOf<int32_t>* inputs() const { return GetPointer<const VectorOf<int32_t>*>(field(1)); }
    const VectorOf<int32_t>* outputs() const { return GetPointer<const VectorOf<int32_t>*>(field(2)); }
    template <typename T>
    T option(int number, T otherwise, const uint8_t* end) const {
        const Options* o = options();
        return o != nullptr ? o->get<T>(number, otherwise, end) : otherwise;
    }

  private:
    const Options* options() const { return GetPointer<const Options*>(field(4)); }
};

struct Buffer : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyOffset(v, field(0)) && v.VerifyVector(data()) && v.EndTable();
    }
    const VectorOf<uint8_t>* data() const { return GetPointer<const VectorOf<uint8_t>*>(field(0)); }
};

struct SubGraph : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyOffset(v, field(0)) && v.VerifyVector(tensors()) &&
               v.VerifyVectorOfTables(tensors()) && VerifyOffset(v, field(1)) && v.VerifyVector(inputs()) &&
               VerifyOffset(v, field(2)) && v.VerifyVector(outputs()) && VerifyOffset(v, field(3)) &&
               v.VerifyVector(operators()) && v.VerifyVectorOfTables(operators()) && v.EndTable();
    }
    const TablesOf<Tensor>* tensors() const { return GetPointer<const TablesOf<Tensor>*>(field(0)); }
    const VectorOf<int32_t>* inputs() const { return GetPointer<const VectorOf<int32_t>*>(field(1)); }
    const VectorOf<int32_t>* outputs() const { return GetPointer<const VectorOf<int32_t>*>(field(2)); }
    const TablesOf<Operator>* operators() const { return GetPointer<const TablesOf<Operator>*>(field(3)); }
};

struct Model : private flatbuffers::Table {
    bool Verify(flatbuffers::Verifier& v) const {
        return VerifyTableStart(v) && VerifyField<uint32_t>(v, field(0), 4) && VerifyOffset(v, field(1)) &&
               v.VerifyVector(codes()) && v.VerifyVectorOfTables(codes()) && VerifyOffset(v, field(2)) &&
               v.VerifyVector(subgraphs()) && v.VerifyVectorOfTables(subgraphs()) &&
               VerifyOffset(v, field(4)) && v.VerifyVector(buffers()) && v.VerifyVectorOfTables(buffers()) &&
               v.EndTable();
    }
    uint32_t version() const { return GetField<uint32_t>(field(0), 0); }
    const TablesOf<OperatorCode>* codes() const {
        return GetPointer<const TablesOf<OperatorCode>*>(field(1));
    }
    const TablesOf<SubGraph>* subgraphs() const { return GetPointer<const TablesOf<SubGraph>*>(field(2)); }
    const TablesOf<Buffer>* buffers() const { return GetPointer<const TablesOf<Buffer>*>(field(4)); }
};

}  // namespace lockstep::model::tflite
