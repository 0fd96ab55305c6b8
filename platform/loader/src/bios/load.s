# The loader: memory map from the BIOS, segments from the disk to where they belong, RSDP, and into the image.
#
# xtask has worked out at build time what is to be read to where: the plan. So nothing is parsed here.
#
#   0x2000   memory map, as the image gets it              0x9000   plan              (sector 9 of the disk)
#   0x8000   this, with the start information              0x9200   command line      (sectors 10 to 13)
#   0x10000  where the BIOS reads to, 32 KiB               0x100000 and above: the image
#
# Integer registers only, as in the image's own ring 0.

.set MEMORY_MAP, 0x2000
.set MEMORY_MAP_END, MEMORY_MAP + 128 * 24
.set MEMORY_MAP_ENTRY, 24
.set RAM, 1
.set RESERVED, 2
.set ONE_MIB, 0x100000
.set SMAP, 0x534d4150

.set PLAN_ENTRY, 0x9000            # u32 each: where to jump to
.set PLAN_FIRST, 0x9004            # the image's first address
.set PLAN_END, 0x9008              # and the one behind its last
.set PLAN_COUNT, 0x900c            # segments, 16 bytes each:
.set PLAN_SEGMENTS, 0x9010         #   sector, bytes on disk, address, bytes of zeroes behind
.set COMMAND_LINE, 0x9200
.set COMMAND_LINE_END, 0x9a00      # the operator may have filled it to the last byte

.set BUFFER, 0x10000
.set BUFFER_SEGMENT, BUFFER >> 4
.set BUFFER_BYTES, 0x8000

.set CODE_32, 0x08
.set DATA_32, 0x10

.section .load, "awx", @progbits
.code16
load:
    mov ax, 0x2401                 # address line 20: by the BIOS, and by the chipset where that does not help
    int 0x15
    in al, 0x92
    test al, 2
    jnz 1f
    or al, 2
    and al, 0xfe                   # bit 0 would reset the machine
    out 0x92, al
1:  mov byte ptr [COMMAND_LINE_END - 1], 0
    call map_memory
    call find_room
    call load_segments
    cli
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0xea                     # jmp CODE_32:enter
    .word enter, CODE_32

# Fills the memory map with what INT 15h, EAX=E820h says, whose entries are those of PVH but for four bytes at the end.
map_memory:
    mov di, MEMORY_MAP
    xor ebx, ebx
1:  mov eax, 0xe820
    mov edx, SMAP
    mov ecx, 20
    int 0x15
    jc 4f
    cmp eax, SMAP
    jne 4f
    mov dword ptr [di + 20], 0
    cmp dword ptr [di + 4], 0
    jne 2f
    cmp dword ptr [di], ONE_MIB
    jae 2f
    cmp dword ptr [di + 16], RAM
    jne 2f
    mov dword ptr [di + 16], RESERVED    # below 1 MiB is this loader, and what it hands over
2:  add di, MEMORY_MAP_ENTRY
    inc dword ptr [memory_map_entries]
    cmp di, MEMORY_MAP_END
    jae 3f
    test ebx, ebx
    jnz 1b
3:  ret
4:  cmp di, MEMORY_MAP             # some BIOSes end the map with an error
    jne 3b
    mov si, offset no_map
    jmp fail

# Makes sure that the whole image lies in one piece of RAM.
find_room:
    mov si, MEMORY_MAP
    mov ecx, [memory_map_entries]
1:  cmp dword ptr [si + 16], RAM
    jne 2f
    cmp dword ptr [si + 4], 0
    jne 2f
    mov eax, [si]
    cmp eax, [PLAN_FIRST]
    ja 2f
    cmp dword ptr [si + 12], 0     # 4 GiB and more
    jne 3f
    add eax, [si + 8]
    jc 3f
    cmp eax, [PLAN_END]
    jae 3f
2:  add si, MEMORY_MAP_ENTRY
    dec ecx
    jnz 1b
    mov si, offset no_room
    jmp fail
3:  ret

load_segments:
    mov bx, PLAN_SEGMENTS
1:  cmp dword ptr [PLAN_COUNT], 0
    je 3f
    dec dword ptr [PLAN_COUNT]
    mov eax, [bx]
    mov [segment_sector], eax
    mov edi, [bx + 8]
    mov ebp, [bx + 4]              # bytes still to be read
2:  test ebp, ebp
    jz 4f
    mov ecx, BUFFER_BYTES
    cmp ebp, ecx
    jae 5f
    mov ecx, ebp
5:  lea eax, [ecx + 511]
    shr eax, 9
    mov [segment_sectors], ax
    pushad
    mov si, offset segment_packet
    call read_sectors
    popad
    movzx eax, ax
    add [segment_sector], eax
    sub ebp, ecx
    mov esi, BUFFER
    call transfer
    jmp 2b
4:  mov ecx, [bx + 12]
    xor esi, esi
    call transfer
    add bx, 16
    jmp 1b
3:  ret

# Copies ecx bytes from esi, or zeroes if that is 0, to edi, which may lie anywhere below 4 GiB; edi is then behind them.
#
# A segment register loaded in protected mode keeps its limit of 4 GiB in real mode, until the BIOS changes it.
transfer:
    cli
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 1f
1:  mov dx, DATA_32
    mov ds, dx
    mov es, dx
    and al, 0xfe
    mov cr0, eax
    jmp 2f
2:  xor ax, ax
    mov ds, ax
    mov es, ax
    test esi, esi
    jz 3f
    .byte 0x67                     # 32-bit addresses
    rep movsb
    sti
    ret
3:  .byte 0x67
    rep stosb
    sti
    ret

# In protected mode, on the way into the image.
.code32
enter:
    mov ax, DATA_32
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, 0x7c00
    movzx eax, word ptr [0x40e]    # the extended BIOS data area, then the BIOS
    shl eax, 4
    lea edx, [eax + 1024]
    call find_rsdp
    mov eax, 0xe0000
    mov edx, ONE_MIB
    call find_rsdp
    mov ebx, offset start_info
    jmp dword ptr [PLAN_ENTRY]

# Looks for ACPI's root pointer from eax to edx: eight letters on a multiple of 16, and 20 bytes whose sum is 0.
find_rsdp:
1:  cmp dword ptr [eax], 0x20445352
    jne 3f
    cmp dword ptr [eax + 4], 0x20525450
    jne 3f
    xor ecx, ecx
    xor ebx, ebx
2:  add bl, [eax + ecx]
    inc ecx
    cmp ecx, 20
    jb 2b
    test bl, bl
    jnz 3f
    mov [rsdp], eax
3:  add eax, 16
    cmp eax, edx
    jb 1b
    ret

# What the image gets in ebx. Source: Xen include/public/arch-x86/hvm/start_info.h.
    .balign 8
start_info:
    .long 0x336ec578, 1            # magic, version
    .long 0, 0                     # flags, modules
    .quad 0                        # list of modules
    .quad COMMAND_LINE
rsdp:
    .quad 0
    .quad MEMORY_MAP
memory_map_entries:
    .long 0, 0

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff       # CODE_32
    .quad 0x00cf93000000ffff       # DATA_32
gdt_pointer:
    .word 23
    .long gdt

segment_packet:
    .byte 16, 0
segment_sectors: .word 0
    .word 0, BUFFER_SEGMENT
segment_sector: .quad 0

no_map: .asciz "this BIOS does not say where memory is (INT 15h, E820h)\r\n"
no_room: .asciz "not enough memory for the image\r\n"
