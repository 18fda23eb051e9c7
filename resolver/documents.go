package resolver

import "sync"

// documents remembers parsed documents by key. They never change once created, so there is nothing to expire; a listing decides
// whether a key still counts. It forgets everything when it is full, which costs a few reads.
type documents struct {
	mu sync.Mutex // guards m
	m  map[string]any
}

const documentsKept = 50_000

func (d *documents) get(key string) (any, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.m[key]
	return v, ok
}

func (d *documents) put(key string, v any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil || len(d.m) >= documentsKept {
		d.m = map[string]any{}
	}
	d.m[key] = v
}
