/* A QEMU TCG plug-in that counts executed guest instructions, exactly and repeatably, without a change to the
 * firmware: every instruction adds one; when the one at `begin` runs the count restarts at zero, when the one
 * at `end` runs it is printed. The `begin` instruction is counted, the `end` one is not: a loop of two
 * instructions run 1000 times after a one-instruction `begin` gives 2001.
 *
 *   qemu-system-arm ... -plugin libinstruction_count.so,begin=ADDRESS,end=ADDRESS,out=FILE
 *
 * Debian ships QEMU with plug-ins enabled but without the header, so the few types and functions used are
 * declared here, after the plug-in API version 1 (QEMU manual, "TCG Plugins"). One virtual CPU only. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*tb_trans_cb)(qemu_plugin_id_t, struct qemu_plugin_tb*);
typedef void (*vcpu_udata_cb)(unsigned int, void*);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, tb_trans_cb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn*);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn*, enum qemu_plugin_op, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, vcpu_udata_cb, enum qemu_plugin_cb_flags, void*);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t count;
static uint64_t begin_address;
static uint64_t end_address;
static const char* out_path;

static void on_begin(unsigned int cpu, void* data) {
    (void)cpu;
    (void)data;
    count = 0;
}

static void on_end(unsigned int cpu, void* data) {
    (void)cpu;
    (void)data;
    FILE* out = fopen(out_path, "a");
    if (out == NULL) return;
    fprintf(out, "%" PRIu64 "\n", count);
    fclose(out);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); ++i) {
        struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        if (address == begin_address)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_begin, QEMU_PLUGIN_CB_NO_REGS, NULL);
        if (address == end_address)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, QEMU_PLUGIN_CB_NO_REGS, NULL);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &count, 1);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                                               char** argv) {
    (void)info;
    for (int i = 0; i < argc; ++i) {
        if (strncmp(argv[i], "begin=", 6) == 0) begin_address = strtoull(argv[i] + 6, NULL, 0) & ~UINT64_C(1);
        if (strncmp(argv[i], "end=", 4) == 0) end_address = strtoull(argv[i] + 4, NULL, 0) & ~UINT64_C(1);
        if (strncmp(argv[i], "out=", 4) == 0) out_path = strdup(argv[i] + 4);
    }
    if (begin_address == 0 || end_address == 0 || out_path == NULL) {
        fprintf(stderr, "instruction_count: needs begin=, end= and out=\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
