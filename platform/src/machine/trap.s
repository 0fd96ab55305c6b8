# Ring 0, part 3: the trap handler, all that is left in ring 0 once the program runs.
#
# A fault goes to the report in ring 3. A general protection fault at a `hlt` is a request (ring0.rs has the other side);
# at port input or output it is a hypervisor that does not honour IOPL 3, and the instruction is repeated here.
# The stack holds, from rsp up: vector, error code, rip, cs, rflags, rsp, ss.

.set VECTOR_GENERAL_PROTECTION, 13
.set FLAG_INTERRUPTS, 1 << 9

.set HLT, 0xf4
.set IN_AL_DX, 0xec
.set IN_EAX_DX, 0xed
.set OUT_DX_AL, 0xee
.set OUT_DX_EAX, 0xef
.set IN_AX_DX, 0xed66              # with its prefix, as a 16-bit word
.set OUT_DX_AX, 0xef66

.pushsection .text.boot, "ax", @progbits
.balign 16
trap_stubs:
.set vector, 0
.rept GATES
    .balign 16
    .if (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17) | (vector == 21) | (vector == 29) | (vector == 30)
    .else
    push 0
    .endif
    push vector
    .if vector < 32
    jmp trap
    .else
    jmp interrupt
    .endif
    .set vector, vector + 1
.endr

.balign 16
trap:
    test byte ptr [rsp + 24], 3
    jz die_in_ring_0
    cmp dword ptr [rsp], VECTOR_GENERAL_PROTECTION
    jne fault
    push rax
    mov rax, [rsp + 24]
    movzx eax, word ptr [rax]           # text is never the last page that is mapped
    cmp al, OUT_DX_EAX
    je out_32
    cmp al, HLT
    je request
    cmp al, IN_EAX_DX
    je in_32
    cmp al, OUT_DX_AL
    je out_8
    cmp al, IN_AL_DX
    je in_8
    cmp eax, OUT_DX_AX
    je out_16
    cmp eax, IN_AX_DX
    je in_16
    pop rax
    jmp fault

# Which port is the hypervisor's business, as it is where IOPL works.
out_32:
    pop rax
    out dx, eax
    jmp continue_1
out_8:
    pop rax
    out dx, al
    jmp continue_1
in_32:
    pop rax
    in eax, dx
    jmp continue_1
in_8:
    pop rax
    in al, dx
    jmp continue_1
out_16:
    pop rax
    out dx, ax
    jmp continue_2
in_16:
    pop rax
    in ax, dx
continue_2:
    inc qword ptr [rsp + 16]
continue_1:
    inc qword ptr [rsp + 16]
    add rsp, 16
    iretq

# Requests: the number in eax, arguments and result as the C ABI has them, registers kept and lost likewise.
request:
    pop rax
    cmp eax, {request_map}
    je request_map
    cmp eax, {request_wait}
    je request_wait
    cmp eax, {request_reset}
    je reset
    jmp request_of_target

# Sleeps until an interrupt has come; its vector is the result. The only place where interrupts are not masked.
request_wait:
    sti
    hlt
    jmp continue_1

# An interrupt did all it is for: it ended the hlt. Masked again, or a line that stays raised would ring for ever.
interrupt:
    pop rax
    add rsp, 8
    and dword ptr [rsp + 16], ~FLAG_INTERRUPTS
    iretq

request_map:
    call map_large_pages
    jmp continue_1

# Without a table of gates the next fault is the machine's last.
reset:
    push 0
    push 0
    lidt [rsp]
    ud2

# A fault in ring 3: keep the registers and let ring 3 report them on a stack of its own. A second one ends the image.
fault:
    push rax
    lea rax, [rip + FAULT]
    cmp dword ptr [rax], 0
    jne die_in_ring_0
    mov dword ptr [rax], 1
    mov [rax + 16], rbx
    mov [rax + 24], rcx
    mov [rax + 32], rdx
    mov [rax + 40], rsi
    mov [rax + 48], rdi
    mov [rax + 56], rbp
    mov [rax + 64], r8
    mov [rax + 72], r9
    mov [rax + 80], r10
    mov [rax + 88], r11
    mov [rax + 96], r12
    mov [rax + 104], r13
    mov [rax + 112], r14
    mov [rax + 120], r15
    pop rcx
    mov [rax + 8], rcx
    mov rcx, cr2
    mov [rax + 128], rcx
    pop qword ptr [rax + 136]           # vector
    pop qword ptr [rax + 144]           # error code
    pop qword ptr [rax + 152]           # rip
    pop rcx
    pop qword ptr [rax + 160]           # rflags
    pop qword ptr [rax + 168]           # rsp
    pop rcx
    mov rdi, rax
    xor ebp, ebp
    lea rax, [rip + REPORT_STACK + {report_stack_size} - 8]
    push USER_DATA
    push rax
    push FLAGS_RING_3
    push USER_CODE
    lea rax, [rip + {report}]
    push rax
    iretq
.popsection
