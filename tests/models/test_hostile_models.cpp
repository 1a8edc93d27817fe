// Damaged and hostile model files end in one error with words, never in a crash, and never in a plan
// that the engine refuses.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "models/convert.h"
#include "models/import/onnx_tensor.h"

namespace lockstep {
namespace {

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string resource(const char* name) {
    return std::string(getenv("LOCKSTEP_SOURCE")) + "/resources/models/movement/" + name;
}

// Converts bytes as a file would be; true when they still made a plan.
class Hostile : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("lockstep_hostile_" + std::to_string(getpid()));
        std::filesystem::create_directories(folder_);
        // One window suffices for calibration.
        const std::string header =
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 6, 100), }                                "
            "\n";
        std::ofstream npy(folder_ / "one.npy", std::ios::binary);
        const uint16_t length = uint16_t(header.size());
        npy.write("\x93NUMPY\x01\x00", 8).write(reinterpret_cast<const char*>(&length), 2) << header;
        for (int i = 0; i < 600; ++i) {
            const float v = float(i % 13) - 6;
            npy.write(reinterpret_cast<const char*>(&v), 4);
        }
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    bool convert_bytes(const std::vector<uint8_t>& bytes) {
        ConvertRequest request;
        request.source = (folder_ / "model").string();
        request.calibration = (folder_ / "one.npy").string();
        std::ofstream(request.source, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        const auto blob = convert(request);
        if (!blob) {
            EXPECT_FALSE(blob.error().what.empty());
            EXPECT_EQ(blob.error().message().find('\n'), std::string::npos);
        }
        return bool(blob);
    }

    void attack(const std::vector<uint8_t>& whole, int flips, bool has_tail) {
        ASSERT_TRUE(convert_bytes(whole));
        for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 60)
            EXPECT_FALSE(convert_bytes({whole.begin(), whole.begin() + long(at)})) << "cut at " << at;
        if (has_tail) {
            EXPECT_FALSE(convert_bytes({whole.begin(), whole.end() - 1}));
        }
        std::mt19937 random(1);
        for (int i = 0; i < flips; ++i) {
            std::vector<uint8_t> bytes = whole;
            // Mostly in the first and last kilobytes, where the structure is.
            const size_t edge = std::min<size_t>(bytes.size(), 2500);
            for (unsigned k = 0; k <= random() % 3; ++k) {
                const size_t at = random() % 4 == 0 ? random() % bytes.size()
                                  : random() % 2    ? random() % edge
                                                    : bytes.size() - 1 - random() % edge;
                bytes[at] = random() % 2 ? uint8_t(random()) : uint8_t(bytes[at] ^ (1u << random() % 8));
            }
            convert_bytes(bytes);
        }
    }

    std::filesystem::path folder_;
};

TEST_F(Hostile, DamagedOnnx) {
    attack(read_file(resource("movement.onnx")), 400, true);
}

TEST_F(Hostile, DamagedTflite) {
    const std::vector<uint8_t> whole = read_file(std::string(getenv("LOCKSTEP_DATA")) + "/models/eeg.tflite");
    ASSERT_FALSE(whole.empty());
    attack(whole, 1500, false);
}

TEST_F(Hostile, EveryUnsupportedOperatorIsNamedAtOnce) {
    onnx::ModelProto model;
    const std::vector<uint8_t> file = read_file(resource("movement.onnx"));
    ASSERT_TRUE(model.ParseFromArray(file.data(), int(file.size())));
    model.mutable_graph()->mutable_node(1)->set_op_type("LSTM");
    model.mutable_graph()->mutable_node(4)->set_op_type("Einsum");
    std::ofstream(folder_ / "model", std::ios::binary) << model.SerializeAsString();
    ConvertRequest request;
    request.source = (folder_ / "model").string();
    request.calibration = (folder_ / "one.npy").string();
    const auto blob = convert(request);
    ASSERT_FALSE(blob);
    EXPECT_NE(blob.error().what.find("LSTM \"/body/body.1/Relu\""), std::string::npos) << blob.error().what;
    EXPECT_NE(blob.error().what.find("Einsum \"/body/body.4/Relu\""), std::string::npos) << blob.error().what;
}

TEST_F(Hostile, EveryFormOfARecurrentLayerThatIsNotSupportedIsNamedAtOnce) {
    onnx::ModelProto model;
    model.add_opset_import()->set_version(13);
    onnx::GraphProto& g = *model.mutable_graph();
    const auto dims = [](onnx::ValueInfoProto* info, const char* name, std::initializer_list<int> sizes) {
        info->set_name(name);
        info->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
        for (const int d : sizes)
            info->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(d);
    };
    dims(g.add_input(), "x", {1, 1, 2});
    g.add_output()->set_name("y");
    const auto weights = [&g](const char* name, std::initializer_list<int> sizes) {
        onnx::TensorProto& t = *g.add_initializer();
        t.set_name(name);
        t.set_data_type(onnx::TensorProto::FLOAT);
        int n = 1;
        for (const int d : sizes) {
            t.add_dims(d);
            n *= d;
        }
        for (int i = 0; i < n; ++i)
            t.add_float_data(1);
    };
    weights("w3", {1, 6, 2});
    weights("w4", {1, 8, 2});
    weights("state", {1, 1, 2});
    const auto node = [&g](const char* op, const char* name, std::initializer_list<const char*> inputs) {
        onnx::NodeProto& n = *g.add_node();
        n.set_op_type(op);
        n.set_name(name);
        n.add_output(name + std::string(":y"));
        for (const char* i : inputs)
            n.add_input(i);
        return &n;
    };
    onnx::AttributeProto* clip = node("GRU", "clipped", {"x", "w3", "w3"})->add_attribute();
    clip->set_name("clip");
    clip->set_f(3);
    node("LSTM", "begun", {"x", "w4", "w4", "", "", "state"});
    onnx::AttributeProto* relu = node("LSTM", "relu", {"x", "w4", "w4"})->add_attribute();
    relu->set_name("activations");
    relu->add_strings("Relu");
    node("GRU", "thin", {"x", "w4", "w3"});
    std::ofstream(folder_ / "model", std::ios::binary) << model.SerializeAsString();
    ConvertRequest request;
    request.source = (folder_ / "model").string();
    const auto blob = convert(request);
    ASSERT_FALSE(blob);
    for (const char* said :
         {"GRU \"clipped\": clip (nearest: no clip)", "LSTM \"begun\": initial_h that is not constant zero",
          "LSTM \"relu\": activation Relu (nearest: Sigmoid", "GRU \"thin\": weights [1, 8, 2]"})
        EXPECT_NE(blob.error().what.find(said), std::string::npos) << said << " in " << blob.error().what;
}

TEST_F(Hostile, HugeDeclaredSizesCostNoMemory) {
    onnx::ModelProto model;
    const std::vector<uint8_t> file = read_file(resource("movement.onnx"));
    ASSERT_TRUE(model.ParseFromArray(file.data(), int(file.size())));
    auto* weights = model.mutable_graph()->mutable_initializer(0);
    for (const int64_t huge : {int64_t(1) << 20, int64_t(1) << 40, INT64_MAX, int64_t(-1)}) {
        weights->set_dims(0, huge);
        const std::string text = model.SerializeAsString();
        EXPECT_FALSE(convert_bytes({text.begin(), text.end()}));
    }
}

TEST_F(Hostile, WrongFilesSayWhatIsWrong) {
    ConvertRequest request;
    request.source = (folder_ / "absent.onnx").string();
    auto blob = convert(request);
    ASSERT_FALSE(blob);
    EXPECT_EQ(blob.error().kind, ErrorKind::usage);
    EXPECT_NE(blob.error().message().find("absent.onnx"), std::string::npos);

    request.source = resource("movement.onnx");
    blob = convert(request);
    ASSERT_FALSE(blob);
    EXPECT_NE(blob.error().remedy.find("--calibration"), std::string::npos);

    request.calibration = resource("calibration/labels.npy");  // no windows of 600 values
    blob = convert(request);
    ASSERT_FALSE(blob);
    EXPECT_NE(blob.error().message().find("labels.npy"), std::string::npos);

    request.calibration = resource("movement.onnx");
    EXPECT_FALSE(convert(request));
}

}  // namespace
}  // namespace lockstep
