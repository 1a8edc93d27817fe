/* A QEMU TCG plug-in that counts executed guest instructions between marks, exactly and repeatably. A mark is the
 * instruction `mov r8, r8` (46c0), which compilers do not make by themselves: it writes the count since the mark
 * before it, without either mark, as a line of the file and starts again at zero.
 *
 *   qemu-system-arm ... -plugin libmarks.so,out=FILE
 *
 * Debian ships QEMU with plug-ins enabled but without the header, so the few types and functions used are declared
 * here, after the plug-in API version 1 (QEMU manual, "TCG Plugins"). One virtual CPU only. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
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
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn*);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn*, enum qemu_plugin_op, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, vcpu_udata_cb, enum qemu_plugin_cb_flags, void*);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t count;
static FILE* out;

static void on_mark(unsigned int cpu, void* data) {
    (void)cpu;
    (void)data;
    fprintf(out, "%" PRIu64 "\n", count);
    fflush(out);
    count = 0;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
    static const unsigned char mark[2] = {0xc0, 0x46};
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); ++i) {
        struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
        if (qemu_plugin_insn_size(insn) == 2 && memcmp(qemu_plugin_insn_data(insn), mark, 2) == 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS, NULL);
        else
            qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &count, 1);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                                               char** argv) {
    (void)info;
    for (int i = 0; i < argc; ++i)
        if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
    if (out == NULL) {
        fprintf(stderr, "marks: needs out=FILE\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
