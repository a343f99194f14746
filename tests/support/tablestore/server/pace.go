// The pace of table-level operations: so many a second for the whole instance.
package main

import (
	"sync"
	"time"
)

var tableVerbs = map[string]bool{
	"ListTable": true, "CreateTable": true, "DescribeTable": true, "UpdateTable": true, "DeleteTable": true,
	"CreateIndex": true, "DropIndex": true, "AddDefinedColumn": true, "DeleteDefinedColumn": true,
}

type pace struct {
	mu   sync.Mutex
	last []time.Time
}

func (p *pace) table(verb string, w *World) *failure {
	if !tableVerbs[verb] {
		return nil
	}
	w.mu.RLock()
	most := w.settings.TableCallsPerSec
	w.mu.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.last) > 0 && now.Sub(p.last[0]) > time.Second {
		p.last = p.last[1:]
	}
	if most > 0 && len(p.last) >= most {
		return refuse("OTSQuotaExhausted", "Too frequent table operations.")
	}
	p.last = append(p.last, now)
	return nil
}
