/* One list of each kind, whose routines are called as wdm.h inlines them and as imports. */
#include <ntddk.h>

typedef PVOID (NTAPI *TAKE)(PLOOKASIDE_LIST_EX);
typedef VOID (NTAPI *GIVE)(PLOOKASIDE_LIST_EX, PVOID);

LOOKASIDE_LIST_EX List;
NPAGED_LOOKASIDE_LIST Older;
TAKE ImportedTake;
GIVE ImportedGive;

NTSTATUS NTAPI Make(ULONG Type, ULONG Size)
{
    ExInitializeNPagedLookasideList(&Older, NULL, NULL, 0, Size, 'redO', 0);
    return ExInitializeLookasideListEx(&List, NULL, NULL, (POOL_TYPE)Type, 0, Size, 'riaP', 0);
}

PVOID NTAPI TakeInlined(VOID) { return ExAllocateFromLookasideListEx(&List); }
VOID NTAPI GiveInlined(PVOID Entry) { ExFreeToLookasideListEx(&List, Entry); }
PVOID NTAPI TakeImported(VOID) { return ImportedTake(&List); }
VOID NTAPI GiveImported(PVOID Entry) { ImportedGive(&List, Entry); }
PVOID NTAPI TakeOlder(VOID) { return ExAllocateFromNPagedLookasideList(&Older); }
VOID NTAPI GiveOlder(PVOID Entry) { ExFreeToNPagedLookasideList(&Older, Entry); }
PVOID NTAPI TakePool(ULONG Type, ULONG Size)
{
    return ExAllocatePoolWithTag((POOL_TYPE)Type, Size, 'looP');
}
VOID NTAPI GivePool(PVOID Block) { ExFreePoolWithTag(Block, 'looP'); }
VOID NTAPI Flush(VOID) { ExFlushLookasideListEx(&List); }

/* For benchmarks: the same thing so many times. */

ULONG NTAPI ManyImports(ULONG Count)
{
    ULONG sum = 0;

    while (Count--)
        sum += KeQueryTimeIncrement();
    return sum;
}

VOID NTAPI ManyInlined(ULONG Count)
{
    while (Count--)
        ExFreeToLookasideListEx(&List, ExAllocateFromLookasideListEx(&List));
}

VOID NTAPI ManyImported(ULONG Count)
{
    while (Count--)
        ImportedGive(&List, ImportedTake(&List));
}

VOID NTAPI ManyPool(ULONG Count)
{
    while (Count--)
        ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPool, 64, 'looP'), 'looP');
}

ULONG NTAPI ManySteps(ULONG Count)
{
    volatile ULONG *words = ExAllocatePoolWithTag(NonPagedPool, 1024, 'looP');
    ULONG i, x = 1;

    for (i = 0; i < Count; i++) {
        words[i & 255] = x;
        x = x * 1664525 + words[(i + 7) & 255] + 1013904223;
    }
    ExFreePoolWithTag((PVOID)words, 'looP');
    return x;
}

VOID NTAPI Unload(PDRIVER_OBJECT Driver)
{
    ExDeleteLookasideListEx(&List);
    ExDeleteNPagedLookasideList(&Older);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, L"ExAllocateFromLookasideListEx");
    ImportedTake = (TAKE)(ULONG_PTR)MmGetSystemRoutineAddress(&name);
    RtlInitUnicodeString(&name, L"ExFreeToLookasideListEx");
    ImportedGive = (GIVE)(ULONG_PTR)MmGetSystemRoutineAddress(&name);
    Driver->DriverUnload = Unload;
    return ImportedTake && ImportedGive ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
