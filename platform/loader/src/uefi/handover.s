# From UEFI's 64-bit mode to the image's entry in 32-bit mode: the last steps, when nothing of the firmware is left.
#
# This is copied into a page below 4 GiB, wherever that is, and called there with the address of the orders in rdi:
#
#   0   entry                   u32
#   4   start information       u32, an address
#   8   copies                  u32, how many; and of them from 16 on, 16 bytes each:
#       from, to, bytes, zeroes behind them
#   -4 …                        a stack of a few words in front of it
#
# The image may go to where the firmware's page tables are. So paging ends first.

.set CODE_32, 0x08
.set DATA_32, 0x10
.set CR0_PE, 1
.set EFER, 0xc0000080
.set EFER_LME, 1 << 8

.section .text.handover, "ax", @progbits
.globl handover
.globl handover_end
.balign 16
handover:
    cli
    lea rax, [rip + gdt]
    sub rsp, 16
    mov word ptr [rsp], 23
    mov [rsp + 2], rax
    lgdt [rsp]
    lea rax, [rip + 1f]
    push CODE_32
    push rax
    retfq
.code32
1:  mov ax, DATA_32
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, edi
    mov eax, CR0_PE                # paging off, and with it 64-bit mode
    mov cr0, eax
    mov ecx, EFER
    rdmsr
    and eax, ~EFER_LME
    wrmsr
    xor eax, eax
    mov cr4, eax
    cld
    mov ebp, edi
    lea edx, [ebp + 16]
    mov ebx, [ebp + 8]
2:  test ebx, ebx
    jz 3f
    mov esi, [edx]
    mov edi, [edx + 4]
    mov ecx, [edx + 8]
    rep movsb
    mov ecx, [edx + 12]
    rep stosb
    add edx, 16
    dec ebx
    jmp 2b
3:  mov ebx, [ebp + 4]
    jmp dword ptr [ebp]
.code64
.balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff       # CODE_32
    .quad 0x00cf93000000ffff       # DATA_32
handover_end:
