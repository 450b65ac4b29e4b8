// Package record keeps one value in shared memory, so that it outlives the process that wrote it.
//
//	master ── Write ──▶ ┌─────────────────────┐ ◀── Read ── the next master
//	                    │ memory without name │
//	keeper  ── holds ─▶ └─────────────────────┘
//
// The value is a blob of bytes, about which this package knows nothing. A Write replaces it as a whole: a writer that is killed
// at any instruction leaves the blob before or the new one, never a mixture, and a reader while another writes gets
// one of them too. Nothing is ever synced, because the memory ends with the machine anyway.
//
// # Format
//
// All numbers are little-endian. Bytes 0 to 63 are the head:
//
//	0  8  magic: "tine rec"
//	8  4  version: 1
//
// Two entries follow, at 64 and 128, of which the one with the higher number is the current one:
//
//	 0  8  number: of the Write, from 1
//	 8  8  offset of the blob, 4096 or more
//	16  8  length of the blob
//	24  4  CRC-32C of the blob
//	28  4  CRC-32C of the 28 bytes before
//
// A Write puts the blob where it does not touch the current one, which makes the file longer where needed, and then writes the
// entry that is not current. So the current blob and its entry are whole until the moment in which the new ones are. An entry
// or a blob whose checksum is wrong counts as never written.
//
// # Patches
//
// A large value of which little changes is not written as a whole each time: an Append puts a patch behind the blob, and a reader
// gets the blob with its patches, in their order. What a patch means is the caller's. The first begins behind the current blob,
// at a multiple of 8, and each at a multiple of 8 behind the one before:
//
//	 0  8  number: of the entry that the patch belongs to
//	 8  4  index: 0 for the first
//	12  4  length of the patch
//	16  4  CRC-32C of the patch
//	20  4  CRC-32C of the 20 bytes before
//	24     the patch
//
// What does not fit, by its number, its index or a checksum, is the end of the patches: one that a killed writer has not
// finished was never appended. A Write ends them. A reader of before there were patches gets the blob alone, as it was at the last Write.
//
// The file gets at most about three times as long as the longest blob with its patches, and never shorter.
package record
