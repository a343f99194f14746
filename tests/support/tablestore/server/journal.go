// The journal: every acknowledged change as the request that made it, one write each, replayed at the start.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Entry is one request that changed something. Replaying it at its moment gives the same change.
type Entry struct {
	At   moment
	Verb string
	Note note
	Body []byte
}

// note is what the request alone does not tell: which rows a fault made fail, the ids given out.
type note struct {
	FailedRows map[int]string `json:"failed_rows,omitempty"`
}

type Journal struct {
	file *os.File
	sync bool
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal replays what is there and is then ready for more. An entry cut short was never acknowledged.
func openJournal(folder string, sync bool, replay func(*Entry) error) (*Journal, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "journal"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%s is another server's: %w", folder, err)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	at := 0
	for len(data)-at >= 8 {
		length := int(binary.LittleEndian.Uint32(data[at:]))
		if length > len(data)-at-8 {
			break
		}
		payload := data[at+8 : at+8+length]
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(data[at+4:]) {
			return nil, fmt.Errorf("%s: the entry at byte %d is damaged", file.Name(), at)
		}
		entry, err := readEntry(payload)
		if err == nil {
			err = replay(entry)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: the entry at byte %d: %w", file.Name(), at, err)
		}
		at += 8 + length
	}
	if err := file.Truncate(int64(at)); err != nil {
		return nil, err
	}
	_, err = file.Seek(int64(at), io.SeekStart)
	return &Journal{file, sync}, err
}

func readEntry(payload []byte) (*Entry, error) {
	if len(payload) < 18 {
		return nil, errCut
	}
	entry := &Entry{}
	entry.At.wall = int64(binary.LittleEndian.Uint64(payload))
	entry.At.shift = int64(binary.LittleEndian.Uint64(payload[8:]))
	rest := payload[16:]
	var parts [2][]byte
	for i := range parts {
		if len(rest) < 2 {
			return nil, errCut
		}
		length := int(binary.LittleEndian.Uint16(rest))
		if rest = rest[2:]; length > len(rest) {
			return nil, errCut
		}
		parts[i], rest = rest[:length], rest[length:]
	}
	entry.Verb, entry.Body = string(parts[0]), rest
	return entry, json.Unmarshal(parts[1], &entry.Note)
}

// write returns when the entry is with the kernel (kill -9 loses nothing), or on the disk when asked to sync.
func (j *Journal) write(entry *Entry) error {
	if j == nil {
		return nil
	}
	words, err := json.Marshal(&entry.Note)
	if err != nil {
		return err
	}
	buf := make([]byte, 8, 32+len(entry.Verb)+len(words)+len(entry.Body))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(entry.At.wall))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(entry.At.shift))
	for _, part := range [][]byte{[]byte(entry.Verb), words} {
		buf = binary.LittleEndian.AppendUint16(buf, uint16(len(part)))
		buf = append(buf, part...)
	}
	buf = append(buf, entry.Body...)
	binary.LittleEndian.PutUint32(buf, uint32(len(buf)-8))
	binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(buf[8:], castagnoli))
	if _, err := j.file.Write(buf); err != nil {
		return err
	}
	if j.sync {
		return j.file.Sync()
	}
	return nil
}
