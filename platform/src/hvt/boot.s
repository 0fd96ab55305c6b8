# The tender's entry, in ring 0 and 64-bit mode with the boot information's address in rdi, and what ring 0 does at the end.

.set LOW_START, 0x10000            # boot information, manifest, command line
.set LOW_END, 0x20000
.set GATES, 32

.pushsection .text.boot, "ax", @progbits
.globl _start
_start:
    mov r15, rdi
    lea rsp, [rip + supervisor_stack_top]
    call set_up_tables
    jmp enter_ring_3

# There is no other request than those of machine/trap.s.
request_of_target:
    jmp fault

# A fault in ring 0, or in the report of one: there is nobody left to make another.
die_in_ring_0:
    lea rax, [rip + {last_words}]
    push {last_words_length}
    push rax
    mov eax, esp
    mov edx, {port_puts}
    out dx, eax
    push 255                            # exit status
    push 0                              # no cookie
    mov eax, esp
    mov edx, {port_halt}
    out dx, eax
1:  hlt
    jmp 1b
.popsection
