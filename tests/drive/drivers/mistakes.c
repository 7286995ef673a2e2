/* Mistakes of drivers, each a routine of its own. Tests say on which line each is found. */
#include <ntddk.h>

#define APART __attribute__((noinline))

LOOKASIDE_LIST_EX Small, Large;
ULONG FailEntry;                    /* a test sets it: DriverEntry fails half way */

static APART VOID Fill(volatile UCHAR *Bytes, ULONG Count)
{
    while (Count--)
        *Bytes++ = 0x5A;                                        /* line: written */
}

static APART ULONG First(volatile ULONG *Words)
{
    return Words[0];                                            /* line: read */
}

VOID NTAPI Overrun(VOID)
{
    PUCHAR block = ExAllocatePoolWithTag(NonPagedPool, 96, 'revO');   /* line: allocated */

    Fill(block, 97);
    ExFreePoolWithTag(block, 'revO');
}

ULONG NTAPI UseAfterFree(VOID)
{
    ULONG *block = ExAllocatePoolWithTag(NonPagedPool, 96, 'retA');   /* line: taken */

    ExFreePoolWithTag(block, 'retA');                           /* line: given */
    return First(block);
}

VOID NTAPI EntryAfterFree(VOID)
{
    PUCHAR entry = ExAllocateFromLookasideListEx(&Small);       /* line: entry taken */

    ExFreeToLookasideListEx(&Small, entry);                     /* line: entry given */
    Fill(entry, 8);
}

ULONG NTAPI EntryReadAfterFree(VOID)
{
    ULONG *entry = ExAllocateFromLookasideListEx(&Small);       /* line: read taken */

    ExFreeToLookasideListEx(&Small, entry);                     /* line: read given */
    return First(entry + 2);
}

VOID NTAPI EntryToPool(VOID)
{
    PVOID entry = ExAllocateFromLookasideListEx(&Small);

    ExFreePool(entry);                                          /* line: entry to pool */
}

VOID NTAPI DoubleFree(VOID)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPool, 96, 'buoD');  /* line: double taken */

    ExFreePoolWithTag(block, 'buoD');                           /* line: freed once */
    ExFreePoolWithTag(block, 'buoD');                           /* line: freed twice */
}

VOID NTAPI EntryFreedTwice(VOID)
{
    PVOID entry = ExAllocateFromLookasideListEx(&Small);

    ExFreeToLookasideListEx(&Small, entry);                     /* line: entry given once */
    ExFreeToLookasideListEx(&Small, entry);                     /* line: entry given twice */
}

VOID NTAPI Leak(VOID)
{
    ExAllocatePoolWithTag(NonPagedPool, 200, 'kaeL');           /* line: leaked */
}

VOID NTAPI PagedAtDispatch(VOID)
{
    PUCHAR block = ExAllocatePoolWithTag(PagedPool, 64, 'dgaP');
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    Fill(block, 1);
    KeLowerIrql(old);
    ExFreePoolWithTag(block, 'dgaP');
}

ULONG NTAPI NullField(VOID)
{
    PLIST_ENTRY nothing = (PLIST_ENTRY)First((ULONG *)&FailEntry + 1);

    return First((ULONG *)&nothing->Blink);
}

VOID NTAPI WriteToCode(VOID)
{
    Fill((PUCHAR)WriteToCode, 1);
}

VOID NTAPI WrongList(VOID)
{
    PVOID entry = ExAllocateFromLookasideListEx(&Small);

    ExFreeToLookasideListEx(&Large, entry);                     /* line: wrong list */
}

VOID NTAPI JumpToNothing(VOID (NTAPI *Routine)(VOID))
{
    Routine();                                                  /* line: jumped */
    FailEntry = 0;
}

ULONG NTAPI Deep(ULONG Depth)
{
    volatile UCHAR room[2000];

    room[0] = (UCHAR)Depth;
    return Depth ? Deep(Depth - 1) + room[0] : 0;               /* line: deep */
}

VOID NTAPI Forever(VOID)
{
    while (!*(volatile ULONG *)&FailEntry)
        ;
}

ULONG NTAPI Divide(ULONG By)
{
    return 100 / By;                                            /* line: divided */
}

VOID NTAPI Break(VOID)
{
    __asm__ volatile("int3");                                   /* line: broken */
}

VOID NTAPI FastFail(ULONG Code)
{
    __asm__ volatile("int $0x29" : : "c"(Code));                /* line: failed fast */
}

VOID NTAPI Undefined(VOID)
{
    __asm__ volatile("ud2");                                    /* line: undefined */
}

VOID NTAPI Halt(VOID)
{
    __asm__ volatile("hlt");                                    /* line: halted */
}

ULONG NTAPI Port(ULONG Value)
{
    ULONG answer;

    __asm__ volatile("outl %0, %1" : : "a"(Value), "Nd"((USHORT)0x80));
    __asm__ volatile("outl %0, %1" : : "a"(0x7FFFFFFF), "Nd"((USHORT)0x2E));
    __asm__ volatile("inl %1, %0" : "=a"(answer) : "Nd"((USHORT)0x80));
    return Value;
}

VOID NTAPI StopMachine(ULONG Code)
{
    KeBugCheckEx(Code, 1, 2, 3, 4);                             /* line: stopped */
}

VOID NTAPI Unload(PDRIVER_OBJECT Driver)
{
    ExDeleteLookasideListEx(&Small);
}

VOID NTAPI UnloadAll(PDRIVER_OBJECT Driver)
{
    ExDeleteLookasideListEx(&Large);
    ExDeleteLookasideListEx(&Small);
}

VOID NTAPI ForgetLarge(PDRIVER_OBJECT Driver)
{
    Driver->DriverUnload = Unload;      /* Large stays on the system-wide list */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    PVOID block;

    ExInitializeLookasideListEx(&Small, NULL, NULL, NonPagedPool, 0, 64, 'lamS', 0);
    if (FailEntry) {
        block = ExAllocatePoolWithTag(PagedPool, 40, 'flaH');   /* line: half way */
        DbgPrint("mistakes: %s\n", block ? "half way" : "no memory");
        return STATUS_UNSUCCESSFUL;     /* neither the block nor Small is given back */
    }
    ExInitializeLookasideListEx(&Large, NULL, NULL, NonPagedPool, 0, 512, 'graL', 0);
    Driver->DriverUnload = UnloadAll;
    return STATUS_SUCCESS;
}
