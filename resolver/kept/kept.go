// Package kept remembers what was parsed of documents that never change.
package kept

import "sync"

// Documents are parsed documents by key. They never change once created, so there is nothing to expire; a listing decides whether a key
// still counts. It forgets everything when it is full, which costs a few reads. The zero value is empty and ready; it is safe for
// concurrent use.
type Documents struct {
	mu sync.Mutex // guards m
	m  map[string]any
}

const most = 50_000

// Get gives what was put under the key.
func (d *Documents) Get(key string) (any, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.m[key]
	return v, ok
}

// Put remembers a value, which nobody may change from then on.
func (d *Documents) Put(key string, v any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil || len(d.m) >= most {
		d.m = map[string]any{}
	}
	d.m[key] = v
}
