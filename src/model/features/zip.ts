import { crc32Of } from "./crc32";

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const UNKNOWN_32 = 0xffffffff;

/** Whether the bytes start as a zip file does. */
export function startsLikeZip(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32LE(0) === LOCAL_HEADER;
}

/**
 * The entries of a zip file whose entries are all stored without compression, which is how PyTorch writes them.
 * Follows the central directory (PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16), checks every entry's bounds and CRC-32.
 * @returns entry name -> its bytes (views of `bytes`, not copies)
 * @throws naming the entry, on compression, encryption, entries above 4 GiB, overlaps with the end of the file, and CRC mismatches
 */
export function readStoredZip(path: string, bytes: Buffer): Map<string, Buffer> {
  const fail = (message: string): never => {
    throw new Error(`${path}: ${message}.`);
  };
  // The end record is 22 bytes and a comment of at most 65,535.
  let end = bytes.length - 22;
  while (end >= 0 && end >= bytes.length - 22 - 0xffff && bytes.readUInt32LE(end) !== END_RECORD) end--;
  if (end < 0 || bytes.readUInt32LE(end) !== END_RECORD) fail("the zip file's directory is missing; the file is cut short, fetch it again");

  const count = bytes.readUInt16LE(end + 10);
  let position = bytes.readUInt32LE(end + 16);
  if (count === 0xffff || position === UNKNOWN_32) fail("a zip file of more than 65,534 entries or 4 GiB, which is not read here; save it as safetensors");

  const entries = new Map<string, Buffer>();
  for (let i = 0; i < count; i++) {
    if (position + 46 > end || bytes.readUInt32LE(position) !== CENTRAL_HEADER) fail("the zip file's directory is damaged; fetch the file again");
    const flags = bytes.readUInt16LE(position + 8);
    const method = bytes.readUInt16LE(position + 10);
    const expectedCrc = bytes.readUInt32LE(position + 16);
    const size = bytes.readUInt32LE(position + 24);
    const nameLength = bytes.readUInt16LE(position + 28);
    const extraLength = bytes.readUInt16LE(position + 30);
    const commentLength = bytes.readUInt16LE(position + 32);
    const local = bytes.readUInt32LE(position + 42);
    const name = bytes.toString("utf8", position + 46, position + 46 + nameLength);
    position += 46 + nameLength + extraLength + commentLength;

    if (method !== 0) fail(`entry ${name} is compressed (method ${method}); torch.save stores entries as they are`);
    if (flags & 1) fail(`entry ${name} is encrypted`);
    if (size === UNKNOWN_32 || local === UNKNOWN_32) fail(`entry ${name} is above 4 GiB, which is not read here; save it as safetensors`);
    if (local + 30 > end || bytes.readUInt32LE(local) !== LOCAL_HEADER) fail(`entry ${name} is not where the directory says; fetch the file again`);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    if (start + size > end) fail(`entry ${name} of ${size} bytes reaches past the end of the file; fetch it again`);
    const data = bytes.subarray(start, start + size);
    if (crc32Of(data) !== expectedCrc) fail(`entry ${name} is damaged (its CRC-32 does not match); fetch the file again`);
    entries.set(name, data);
  }
  return entries;
}
