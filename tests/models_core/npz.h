// Reads arrays of an uncompressed .npz (a zip of .npy members), as NumPy's savez writes it.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep {

struct NpyArray {
    std::string dtype;  // "<f4"
    std::vector<size_t> shape;
    std::vector<uint8_t> bytes;

    // Row i of the first dimension. The dtype must be T's.
    template <typename T>
    std::vector<T> row(size_t i) const {
        const char kind = std::is_floating_point<T>::value ? 'f' : 'i';
        if (dtype != std::string("<") + kind + std::to_string(sizeof(T)))
            throw std::runtime_error("dtype " + dtype);
        size_t n = 1;
        for (size_t d = 1; d < shape.size(); ++d)
            n *= shape[d];
        std::vector<T> out(n);
        std::memcpy(out.data(), bytes.data() + i * n * sizeof(T), n * sizeof(T));
        return out;
    }
};

class Npz {
  public:
    explicit Npz(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        if (!file) throw std::runtime_error("cannot open " + path);
        data_.assign(std::istreambuf_iterator<char>(file), {});
        size_t end = data_.size() - 22;  // end of central directory, without a comment
        const size_t members = number(end + 10, 2);
        size_t at = number(end + 16, 4);
        for (size_t i = 0; i < members; ++i) {
            if (number(at + 10, 2) != 0) throw std::runtime_error("compressed member");
            const size_t size = number(at + 24, 4);
            const size_t name = number(at + 28, 2);
            const size_t local = number(at + 42, 4);
            const size_t begin = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            add(std::string(&data_[at + 46], name - 4), begin, size);
            at += 46 + name + number(at + 30, 2) + number(at + 32, 2);
        }
    }

    const NpyArray& operator[](const std::string& name) const { return arrays_.at(name); }

  private:
    size_t number(size_t at, size_t bytes) const {
        size_t v = 0;
        for (size_t i = 0; i < bytes; ++i)
            v |= size_t(uint8_t(data_.at(at + i))) << (8 * i);
        return v;
    }
    void add(const std::string& name, size_t begin, size_t size) {
        const size_t header = number(begin + 8, 2);
        const std::string text(&data_[begin + 10], header);
        NpyArray a;
        const size_t d = text.find("'descr': '") + 10;
        a.dtype = text.substr(d, text.find('\'', d) - d);
        size_t s = text.find("'shape': (") + 10;
        while (text[s] != ')') {
            a.shape.push_back(std::stoul(text.substr(s)));
            s = text.find_first_of(",)", s);
            while (text[s] == ',' || text[s] == ' ')
                ++s;
        }
        a.bytes.assign(data_.begin() + long(begin + 10 + header), data_.begin() + long(begin + size));
        arrays_[name] = a;
    }

    std::vector<char> data_;
    std::map<std::string, NpyArray> arrays_;
};

}  // namespace lockstep
