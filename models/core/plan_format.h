// The bytes of a plan, version 1.0: one struct a table, little-endian, no padding (docs/model_format.md
// is the same for a reader in another language). A blob is
//
//   PlanHeader | inputs | channels | sections | tensors | operators | scores | strings | data | provenance
//
// in any order after the header. Every offset counts bytes from the start of the blob, so it can be
// moved, mapped or linked into flash as it is; params are 16-byte aligned.
#pragma once

#include <string.h>

#include "dsp/base/span.h"

namespace lockstep::model {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "plans are read in place");

constexpr uint8_t kPlanMagic[8] = {'L', 'S', 'P', 'L', 'A', 'N', 0, 0};
constexpr uint16_t kPlanMajor = 1;  // another major: not readable
constexpr uint16_t kPlanMinor = 0;  // a higher minor only adds what an older reader may ignore
constexpr size_t kPlanAlign = 16;

constexpr size_t kMaxOperators = 94;
constexpr size_t kMaxTensors = 128;
constexpr size_t kMaxInputChannels = 256;
constexpr size_t kMaxSections = 16;  // biquads per input
constexpr uint32_t kMaxRateHz = 100000;
constexpr uint32_t kMaxPeriod = 1u << 24;  // samples; hop and K
constexpr uint32_t kMaxArenaBytes = 1u << 26;
constexpr uint32_t kMaxMemory = 256;  // windows that a result looks back on
constexpr size_t kMaxPlanBytes = size_t(1) << 28;

struct Table {
    uint32_t offset = 0;
    uint32_t count = 0;  // records; bytes for strings, data and provenance
};

constexpr uint32_t kPlanIsClassifier = 1;

struct PlanHeader {
    uint8_t magic[8];
    uint16_t major;
    uint16_t minor;
    uint32_t bytes;  // of the whole blob
    uint32_t crc;    // CRC-32C of the whole blob with this field as 0
    uint32_t flags;
    uint32_t name;         // string
    uint32_t arena_bytes;  // tensors and scratch, exact
    Table inputs;
    Table channels;  // of all inputs
    Table sections;  // of all inputs
    Table tensors;
    Table operators;  // in the order of evaluation; the last one's output is the scores, float32
    Table scores;
    Table strings;     // each ends with a 0 byte; a "string" elsewhere is the blob offset of its first
    Table data;        // operators' params
    Table provenance;  // UTF-8 JSON
};
static_assert(sizeof(PlanHeader) == 104, "padding");

struct InputRecord {
    uint32_t kind;  // string
    uint32_t rate_num;
    uint32_t rate_den;
    uint32_t window;
    uint32_t hop;  // 0 unless input 0
    uint32_t warmup;
    uint32_t reset_period;  // 0 when sections == 0
    uint32_t first_channel;
    uint16_t channels;
    uint16_t sections;  // biquads of every channel, applied in order; 0 = no filter
    uint32_t first_section;
    uint16_t tensor;         // float32 [1, 1, window, channels]: receives the window
    uint16_t span;           // samples that rings make of the window (models/core/ops/ring.h); 0 = the window
    uint32_t samples_stage;  // string, "imu.samples"
    uint32_t filtered_stage;  // string, "imu.filtered"; "" without sections
};
static_assert(sizeof(InputRecord) == 52, "padding");

struct ChannelRecord {
    uint32_t name;  // string
    uint32_t unit;  // string
};

struct SectionRecord {
    float b0, b1, b2, a1, a2;  // a0 = 1
};

struct TensorRecord {
    uint8_t type;  // ElementType
    uint8_t rank;  // 1..4
    uint16_t reserved;
    uint16_t dim[4];  // 1 beyond rank
    float scale;
    int32_t zero_point;
    uint32_t arena;  // byte offset in the arena, 16-byte aligned
};
static_assert(sizeof(TensorRecord) == 24, "padding");

// What of an operator keeps its bytes from window to window: its scratch, or its output as well.
constexpr uint16_t kOperatorKeeps = 1;
constexpr uint16_t kOperatorKeepsOutput = 2;

struct OperatorRecord {
    uint16_t code;
    uint8_t inputs;
    uint8_t stage_kind;   // StageKind
    uint16_t input[4];    // tensors
    uint16_t output;      // tensor
    uint16_t flags;       // 0, kOperatorKeeps, or that and kOperatorKeepsOutput
    uint32_t stage_name;  // string
    uint32_t params;      // blob offset, 16-byte aligned, within data
    uint32_t params_bytes;
    uint32_t scratch;  // byte offset in the arena, 16-byte aligned
    uint32_t scratch_bytes;
};
static_assert(sizeof(OperatorRecord) == 36, "padding");

struct ScoreRecord {
    uint32_t name;  // string
    uint32_t unit;  // string, "" for classes
};

// REQUIRES: at + sizeof(T) <= blob.size().
template <typename T>
T load_record(Bytes blob, size_t at) {
    T out;
    memcpy(&out, blob.data() + at, sizeof(T));
    return out;
}

}  // namespace lockstep::model
