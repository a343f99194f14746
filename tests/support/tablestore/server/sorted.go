// A sorted map from key text to row: chunks of sorted entries, found by halving.
package main

import (
	"slices"
	"sort"
)

// Above this a chunk is halved: an insert moves at most this many pointers.
const longestChunk = 512

type Sorted struct {
	chunks [][]*Row
	count  int
}

// place is the chunk and the index of the first row at or after key.
func (s *Sorted) place(key string) (int, int) {
	c := sort.Search(len(s.chunks), func(i int) bool { return s.chunks[i][0].Key > key }) - 1
	if c < 0 {
		return 0, 0
	}
	chunk := s.chunks[c]
	i := sort.Search(len(chunk), func(i int) bool { return chunk[i].Key >= key })
	if i == len(chunk) {
		return c + 1, 0
	}
	return c, i
}

func (s *Sorted) get(key string) *Row {
	c, i := s.place(key)
	if c < len(s.chunks) && s.chunks[c][i].Key == key {
		return s.chunks[c][i]
	}
	return nil
}

func (s *Sorted) put(row *Row) {
	c, i := s.place(row.Key)
	if c < len(s.chunks) && s.chunks[c][i].Key == row.Key {
		s.chunks[c][i] = row
		return
	}
	s.count++
	if len(s.chunks) == 0 {
		s.chunks = [][]*Row{{row}}
		return
	}
	if i == 0 && c > 0 {
		c--
		i = len(s.chunks[c])
	}
	s.chunks[c] = slices.Insert(s.chunks[c], i, row)
	if chunk := s.chunks[c]; len(chunk) > longestChunk {
		half := slices.Clone(chunk[longestChunk/2:])
		s.chunks[c] = chunk[: longestChunk/2 : longestChunk/2]
		s.chunks = slices.Insert(s.chunks, c+1, half)
	}
}

func (s *Sorted) remove(key string) {
	c, i := s.place(key)
	if c >= len(s.chunks) || s.chunks[c][i].Key != key {
		return
	}
	s.count--
	if s.chunks[c] = slices.Delete(s.chunks[c], i, i+1); len(s.chunks[c]) == 0 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
}

// ascend gives the rows from start on until visit says no.
func (s *Sorted) ascend(start string, visit func(*Row) bool) {
	c, i := s.place(start)
	for ; c < len(s.chunks); c, i = c+1, 0 {
		for _, row := range s.chunks[c][i:] {
			if !visit(row) {
				return
			}
		}
	}
}

// descend gives the rows from the last one at or before start down until visit says no.
func (s *Sorted) descend(start string, visit func(*Row) bool) {
	c, i := s.place(start)
	if c < len(s.chunks) && s.chunks[c][i].Key == start {
		i++
	}
	for ; c >= 0; c-- {
		if c == len(s.chunks) {
			i = -1
			continue
		}
		if i < 0 {
			i = len(s.chunks[c])
		}
		for i--; i >= 0; i-- {
			if !visit(s.chunks[c][i]) {
				return
			}
		}
	}
}
