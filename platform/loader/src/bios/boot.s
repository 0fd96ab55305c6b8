# The boot sector: reads the loader, the plan and the command line, which lie in the sectors behind it, and jumps to the loader.
#
# The BIOS has put this sector to 0x7c00 and jumps there in real mode, with the number of the drive in dl.

.set LOADER, 0x8000
.set LOADER_SECTORS, 13            # loader 8, plan 1, command line 4: see load.s and xtask/src/image/disk/bios.rs
.set SERIAL, 0x3f8                 # COM1
.set SERIAL_STATUS, SERIAL + 5
.set SERIAL_READY, 1 << 5

.section .boot, "awx", @progbits
.code16
.globl _start
_start:
    jmp boot
    .org 3
    .ascii "SKERRY"                # tells the image that this disk is not one of its devices
    .org 0x3e                      # some BIOSes write to where a floppy disk has its parameters
boot:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    .byte 0xea                     # jmp 0:based, since some BIOSes come here by 0x7c0:0
    .word based, 0
based:
    sti
    cld
    mov [drive], dl
    mov ah, 0x41                   # are there extensions, which take sector numbers?
    mov bx, 0x55aa
    int 0x13
    mov si, offset no_extensions
    jc fail
    cmp bx, 0xaa55
    jne fail
    mov si, offset packet
    call read_sectors
    jmp load

# Reads by the disk address packet at si; does not come back where the disk cannot be read.
read_sectors:
    mov bp, 3
1:  mov dl, [drive]
    mov ah, 0x42
    int 0x13
    jnc 2f
    dec bp
    jnz 1b
    mov si, offset cannot_read
    jmp fail
2:  ret

# Prints the line at si on screen and serial port, and stops.
fail:
    mov di, si
    mov si, offset who
    call print
    mov si, di
    call print
1:  cli
    hlt
    jmp 1b

print:
    lodsb
    test al, al
    jz 3f
    push ax
    mov ah, 0x0e
    mov bx, 7
    int 0x10
    mov dx, SERIAL_STATUS
    mov cx, 0xffff                 # a port that is not there is never ready
1:  in al, dx
    test al, SERIAL_READY
    jnz 2f
    loop 1b
2:  pop ax
    mov dx, SERIAL
    out dx, al
    jmp print
3:  ret

packet:                            # how much, to where, from where
    .byte 16, 0
    .word LOADER_SECTORS
    .word LOADER, 0
    .quad 1
drive: .byte 0

who: .asciz "skerry: "
no_extensions: .asciz "this BIOS cannot read disks by sector number (INT 13h extensions)\r\n"
cannot_read: .asciz "the boot disk cannot be read\r\n"

    .org 440                       # xtask puts the disk's signature and partitions here
    .org 510
    .word 0xaa55
