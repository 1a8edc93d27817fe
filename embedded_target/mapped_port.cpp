#include "embedded_target/mapped_port.h"

namespace lockstep::firmware {
namespace {

// The other side is another processor (the host's), so loads and stores are ordered.
uint32_t get(const uint32_t* p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
void set(uint32_t* p, uint32_t v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

}  // namespace

void MappedPort::init(MutableBytes memory) {
    if (memory.size() < wire::kMappedToHost + wire::kMappedRing) return;
    header_ = reinterpret_cast<wire::MappedHeader*>(memory.data());
    to_device_ = memory.data() + wire::kMappedToDevice;
    to_host_ = memory.data() + wire::kMappedToHost;
    set(&header_->magic, 0);
    set(&header_->to_device_head, 0);
    set(&header_->to_device_tail, 0);
    set(&header_->to_host_head, 0);
    set(&header_->to_host_tail, 0);
    set(&header_->size, wire::kMappedRing);
    set(&header_->magic, wire::kMappedMagic);
}

size_t MappedPort::read(MutableBytes out) {
    if (header_ == nullptr) return 0;
    const uint32_t tail = get(&header_->to_device_tail);
    const uint32_t used = get(&header_->to_device_head) - tail;
    // More than a ring: the host wrote nonsense; there is nothing to trust in it.
    if (used > wire::kMappedRing) return 0;
    const size_t n = used < out.size() ? used : out.size();
    for (size_t i = 0; i < n; ++i)
        out[i] = to_device_[(tail + i) & (wire::kMappedRing - 1)];
    if (n != 0) set(&header_->to_device_tail, uint32_t(tail + n));
    return n;
}

size_t MappedPort::tx_free() const {
    if (header_ == nullptr) return 0;
    const uint32_t used = get(&header_->to_host_head) - get(&header_->to_host_tail);
    return used > wire::kMappedRing ? 0 : wire::kMappedRing - used;
}

bool MappedPort::write(Bytes data) {
    if (tx_free() < data.size()) return false;
    const uint32_t head = get(&header_->to_host_head);
    for (size_t i = 0; i < data.size(); ++i)
        to_host_[(head + i) & (wire::kMappedRing - 1)] = data[i];
    set(&header_->to_host_head, uint32_t(head + data.size()));
    return true;
}

}  // namespace lockstep::firmware
