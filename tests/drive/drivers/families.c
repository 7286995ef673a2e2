/* All that a driver does with lookaside lists: the three families, routines of its own, SLISTs. */
#include <ntddk.h>

typedef struct _PACKET {
    SLIST_ENTRY Link;
    ULONG Number;
    UCHAR Bytes[100];
} PACKET, *PPACKET;

LOOKASIDE_LIST_EX Packets;          /* Ex, inlined by wdm.h */
LOOKASIDE_LIST_EX Records;          /* Ex, with routines of our own */
NPAGED_LOOKASIDE_LIST Contexts;     /* the older families, inlined too */
PAGED_LOOKASIDE_LIST Names;
PAGED_LOOKASIDE_LIST Counted;       /* older, with routines of our own */
SLIST_HEADER Waiting;
KSPIN_LOCK WaitingLock;
ULONG Allocated, Freed;

PVOID NTAPI AllocateRecord(POOL_TYPE Type, SIZE_T Size, ULONG Tag, PLOOKASIDE_LIST_EX List)
{
    if (List != &Records)
        return NULL;
    Allocated++;
    return ExAllocatePoolWithTag(Type, Size, Tag);
}

VOID NTAPI FreeRecord(PVOID Record, PLOOKASIDE_LIST_EX List)
{
    if (List == &Records)
        Freed++;
    ExFreePoolWithTag(Record, 'droR');
}

PVOID NTAPI AllocateCounted(POOL_TYPE Type, SIZE_T Size, ULONG Tag)
{
    Allocated += 100;
    return ExAllocatePoolWithTag(Type, Size, Tag);
}

VOID NTAPI FreeCounted(PVOID Buffer)
{
    Freed += 100;
    ExFreePool(Buffer);
}

ULONG NTAPI Queue(ULONG Count)
{
    PSLIST_ENTRY entry;
    ULONG i, sum = 0;

    for (i = 0; i < Count; i++) {
        PPACKET packet = ExAllocateFromLookasideListEx(&Packets);
        KIRQL old;

        if (!packet)
            break;
        RtlZeroMemory(packet, sizeof(PACKET));
        packet->Number = i;
        KeAcquireSpinLock(&WaitingLock, &old);
        ExInterlockedPushEntrySList(&Waiting, &packet->Link, &WaitingLock);
        KeReleaseSpinLock(&WaitingLock, old);
    }
    DbgPrint("families: %u wait at IRQL %d\n", ExQueryDepthSList(&Waiting), KeGetCurrentIrql());
    while ((entry = ExInterlockedPopEntrySList(&Waiting, &WaitingLock)) != NULL) {
        PPACKET packet = CONTAINING_RECORD(entry, PACKET, Link);

        sum += packet->Number;
        ExFreeToLookasideListEx(&Packets, packet);
    }
    return sum;
}

PVOID NTAPI TakePacket(VOID) { return ExAllocateFromLookasideListEx(&Packets); }
VOID NTAPI GivePacket(PVOID Packet) { ExFreeToLookasideListEx(&Packets, Packet); }
PVOID NTAPI TakeRecord(VOID) { return ExAllocateFromLookasideListEx(&Records); }
VOID NTAPI GiveRecord(PVOID Record) { ExFreeToLookasideListEx(&Records, Record); }

ULONG NTAPI Exchange(ULONG Count)
{
    PVOID held[16];
    ULONG i;

    for (i = 0; i < Count && i < 16; i++)
        held[i] = ExAllocateFromLookasideListEx(&Records);
    while (i--)
        ExFreeToLookasideListEx(&Records, held[i]);
    return Allocated;
}

NTSTATUS NTAPI Older(VOID)
{
    PVOID one, two, name, counted;

    one = ExAllocateFromNPagedLookasideList(&Contexts);
    ExFreeToNPagedLookasideList(&Contexts, one);
    two = ExAllocateFromNPagedLookasideList(&Contexts);
    ExFreeToNPagedLookasideList(&Contexts, two);
    name = ExAllocateFromPagedLookasideList(&Names);
    ExFreeToPagedLookasideList(&Names, name);
    counted = ExAllocateFromPagedLookasideList(&Counted);
    ExFreeToPagedLookasideList(&Counted, counted);
    return one == two ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

NTSTATUS NTAPI Quota(ULONG Size)
{
    PVOID block = ExAllocatePoolWithQuotaTag(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, Size, 'touQ');

    if (!block)
        return STATUS_QUOTA_EXCEEDED;
    ExFreePoolWithTag(block, 'touQ');
    return STATUS_SUCCESS;
}

VOID NTAPI ShowCounts(VOID)
{
    DbgPrint("families: %u allocated, %u freed\n", Allocated, Freed);
}

VOID NTAPI Unload(PDRIVER_OBJECT Driver)
{
    ExDeletePagedLookasideList(&Counted);
    ExDeletePagedLookasideList(&Names);
    ExDeleteNPagedLookasideList(&Contexts);
    ExDeleteLookasideListEx(&Records);
    ExDeleteLookasideListEx(&Packets);
    ShowCounts();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    NTSTATUS status;

    DbgPrint("families: %wZ\n", Path);
    KeInitializeSpinLock(&WaitingLock);
    ExInitializeSListHead(&Waiting);
    status = ExInitializeLookasideListEx(&Packets, NULL, NULL, NonPagedPool, 0,
                                         sizeof(PACKET), 'tkcP', 0);
    if (!NT_SUCCESS(status))
        return status;
    status = ExInitializeLookasideListEx(&Records, AllocateRecord, FreeRecord, PagedPool, 0,
                                         72, 'droR', 0);
    if (!NT_SUCCESS(status)) {
        ExDeleteLookasideListEx(&Packets);
        return status;
    }
    ExInitializeNPagedLookasideList(&Contexts, NULL, NULL, 0, 48, 'txtC', 0);
    ExInitializePagedLookasideList(&Names, NULL, NULL, 0, 256, 'emaN', 0);
    ExInitializePagedLookasideList(&Counted, AllocateCounted, FreeCounted, 0, 32, 'yllT', 0);
    Driver->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
