/* What drivers use beside pool and lists: events, resources, DPCs, work items, IRPs, MDLs, strings. */
#include <ntddk.h>
#include <stdio.h>

PDRIVER_OBJECT Self;
PDEVICE_OBJECT Device;
KEVENT Done;
KDPC Dpc;
ERESOURCE Lock;
PIO_WORKITEM Item;
ULONG Trace[16], Traced;

static VOID Note(ULONG What)
{
    if (Traced < 16)
        Trace[Traced++] = What;
}

VOID NTAPI DpcRoutine(PKDPC Which, PVOID Context, PVOID One, PVOID Two)
{
    Note(0x100 + KeGetCurrentIrql() + (ULONG)(ULONG_PTR)Context + (ULONG)(ULONG_PTR)One);
    KeSetEvent(&Done, 0, FALSE);
}

VOID NTAPI WorkRoutine(PDEVICE_OBJECT Which, PVOID Context)
{
    Note(0x200 + KeGetCurrentIrql() + (ULONG)(ULONG_PTR)Context);
    IoFreeWorkItem(Item);
    Item = NULL;
}

ULONG NTAPI QueueBoth(VOID)
{
    KeClearEvent(&Done);
    Item = IoAllocateWorkItem(Device);
    IoQueueWorkItem(Item, WorkRoutine, DelayedWorkQueue, (PVOID)7);
    KeInsertQueueDpc(&Dpc, (PVOID)3, NULL);
    Note(1);
    return KeReadStateEvent(&Done);
}

ULONG NTAPI WaitForDpc(VOID)
{
    KeClearEvent(&Done);
    KeInsertQueueDpc(&Dpc, (PVOID)0, NULL);
    return KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
}

ULONG NTAPI WaitForNobody(VOID)
{
    KeClearEvent(&Done);
    return KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
}

ULONG NTAPI UseResource(VOID)
{
    ULONG held;

    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Lock, TRUE);
    held = ExIsResourceAcquiredExclusiveLite(&Lock);
    ExReleaseResourceLite(&Lock);
    KeLeaveCriticalRegion();
    return held + 2 * ExIsResourceAcquiredExclusiveLite(&Lock);
}

NTSTATUS NTAPI Read(PDEVICE_OBJECT Which, PIRP Irp)
{
    PIO_STACK_LOCATION here = IoGetCurrentIrpStackLocation(Irp);

    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = here->Parameters.Read.Length;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI Completed(PDEVICE_OBJECT Which, PIRP Irp, PVOID Context)
{
    *(PULONG)Context = (ULONG)Irp->IoStatus.Information;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

ULONG NTAPI Send(UCHAR Major, ULONG Length)
{
    ULONG information = 0xFFFF;
    PIRP irp = IoAllocateIrp(Device->StackSize, FALSE);
    PIO_STACK_LOCATION next;
    NTSTATUS status;

    if (!irp)
        return 0;
    next = IoGetNextIrpStackLocation(irp);
    next->MajorFunction = Major;
    next->Parameters.Read.Length = Length;
    IoSetCompletionRoutine(irp, Completed, &information, TRUE, TRUE, TRUE);
    status = IoCallDriver(Device, irp);
    IoFreeIrp(irp);
    return NT_SUCCESS(status) ? information : (ULONG)status;
}

ULONG NTAPI Processor(VOID)
{
    return KeGetCurrentProcessorNumber();
}

PKTHREAD NTAPI Thread(ULONG Imported)
{
    UNICODE_STRING name;
    PKTHREAD (NTAPI *current)(VOID);

    if (!Imported)
        return KeGetCurrentThread();    /* wdm.h reads the processor's block on x64 */
    RtlInitUnicodeString(&name, L"KeGetCurrentThread");
    current = (PKTHREAD (NTAPI *)(VOID))(ULONG_PTR)MmGetSystemRoutineAddress(&name);
    return current();
}

__declspec(dllexport) ULONG NTAPI Describe(VOID)  /* another driver may import it */
{
    PUCHAR block = ExAllocatePoolWithTag(NonPagedPool, 300, 'lldM');
    PMDL mdl = IoAllocateMdl(block, 300, FALSE, FALSE, NULL);
    ULONG bytes;

    MmBuildMdlForNonPagedPool(mdl);
    bytes = MmGetMdlByteCount(mdl);
    if (MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) != block)
        bytes = 0;
    IoFreeMdl(mdl);
    ExFreePoolWithTag(block, 'lldM');
    return bytes;
}

ULONG NTAPI Strings(VOID)
{
    UNICODE_STRING one, two;
    ANSI_STRING narrow;
    WCHAR room[32];
    CHAR text[24];
    ULONG value = 0;

    RtlInitUnicodeString(&one, L"Lookaside");
    two.Buffer = room;
    two.Length = 0;
    two.MaximumLength = sizeof(room);
    RtlCopyUnicodeString(&two, &one);
    RtlAppendUnicodeToString(&two, L" 42");
    RtlInitAnsiString(&narrow, "ansi");
    DbgPrint("objects: %wZ|%Z|%S|%ls|%hs|%5d|%-5u|%05x|%#X|%p|%c|%I64d|%%|%.3s\n", &two, &narrow,
             L"wide", L"long", "short", -42, 42u, 0x2a, 0xABC, (PVOID)0x1234, 'c', -5000000000LL,
             "cut off");
    _snprintf(text, sizeof(text), "%s-%lu", "bounded", 123456ul);
    DbgPrintEx(0, 0, "objects: %s %d\n", text, RtlEqualUnicodeString(&one, &two, TRUE));
    RtlInitUnicodeString(&one, L"0x1F");
    RtlUnicodeStringToInteger(&one, 0, &value);
    return value;
}

VOID NTAPI Unload(PDRIVER_OBJECT Driver)
{
    ExDeleteResourceLite(&Lock);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    UNICODE_STRING name;
    NTSTATUS status;

    Self = Driver;
    RtlInitUnicodeString(&name, L"\\Device\\Objects");
    status = IoCreateDevice(Driver, 16, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status))
        return status;
    Driver->MajorFunction[IRP_MJ_READ] = Read;
    Driver->DriverUnload = Unload;
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, DpcRoutine, (PVOID)0x10);
    return ExInitializeResourceLite(&Lock);
}
