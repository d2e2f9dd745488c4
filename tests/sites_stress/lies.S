/* lies.S: functions that allocate, with unwind rules that do not fit: the frame is said to be where
 * nothing is, where something else is, and where an expression leads that never ends, divides by
 * zero or takes more than is on its stack. Linked into a library with 2 MiB between its segments,
 * where nothing may be read.
 *
 * Each is like the first one but for its rules: DW_CFA_def_cfa_expression (0x0f) or others as
 * numbers, since an assembler refuses to write most of this.
 */
.macro LIAR name, rules:vararg
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc
    pushq %rbx
    .cfi_escape \rules
    movl $100, %edi
    call malloc@PLT
    movq %rax, %rdi
    call free@PLT
    popq %rbx
    ret
    .cfi_endproc
    .size \name, .-\name
.endm

.text
/* The word 1 MiB behind the code: DW_OP_breg16 (rip) + 0x100000, DW_OP_deref. */
LIAR lie_between_segments, 0x0f, 6, 0x80, 0x80, 0x80, 0xc0, 0x00, 0x06
/* The words at 0, and at an address that no program has. */
LIAR lie_nothing, 0x0f, 3, 0x30, 0x06, 0x96
LIAR lie_no_address, 0x0f, 10, 0x03, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x06
LIAR lie_far, 0x0f, 9, 0x03, 0, 0, 0, 0, 0, 0x70, 0, 0
/* The stack pointer + 13; - 128; + 0. */
LIAR lie_unaligned, 0x0f, 2, 0x77, 13
LIAR lie_below, 0x0f, 3, 0x77, 0x80, 0x7f
LIAR lie_same, 0x0f, 2, 0x77, 0
/* A jump back to itself; sums of nothing; 1 / 0. */
LIAR lie_loop, 0x0f, 4, 0x31, 0x2f, 0xfc, 0xff
LIAR lie_underflow, 0x0f, 2, 0x22, 0x22
LIAR lie_division, 0x0f, 3, 0x31, 0x30, 0x1b
/* DW_CFA_remember_state without end, DW_CFA_restore_state without one, a register that is none. */
LIAR lie_remember, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a
LIAR lie_restore, 0x0b, 0x0b, 0x0b
LIAR lie_register, 0x07, 0xff, 0xff, 0x03
/* The return address lies in a register; where an expression says. */
LIAR lie_in_register, 0x09, 0x10, 0x00
LIAR lie_return_address, 0x10, 0x10, 6, 0x80, 0x80, 0x80, 0xc0, 0x00, 0x06

/* Another library has this one at the same place, with another size of the frame. */
    .globl frame_of_one_size
    .type frame_of_one_size, @function
    .p2align 6
frame_of_one_size:
    .cfi_startproc
    subq $FRAME_BYTES, %rsp
    .cfi_adjust_cfa_offset FRAME_BYTES
    call malloc@PLT
    addq $FRAME_BYTES, %rsp
    .cfi_adjust_cfa_offset -FRAME_BYTES
    ret
    .cfi_endproc
    .size frame_of_one_size, .-frame_of_one_size
    .section .note.GNU-stack, "", @progbits
