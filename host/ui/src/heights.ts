// The heights of rows, as a tree of sums: where a row stands, and which one stands at a place, in a few steps.

export class Heights {
  #tree: Float64Array;
  #heights: Float32Array;
  #count = 0;

  constructor(capacity = 1024) {
    this.#tree = new Float64Array(capacity + 1);
    this.#heights = new Float32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /** All rows anew, each of one height. */
  reset(count: number, height: number): void {
    const capacity = Math.max(1024, 2 ** Math.ceil(Math.log2(count + 1)));
    this.#tree = new Float64Array(capacity + 1);
    this.#heights = new Float32Array(capacity);
    this.#count = count;
    this.#heights.fill(height, 0, count);
    this.#build();
  }

  /** Adds rows at the end. */
  grow(count: number, height: number): void {
    if (count <= this.#count) return;
    if (count > this.#heights.length) {
      const heights = new Float32Array(2 ** Math.ceil(Math.log2(count + 1)));
      heights.set(this.#heights.subarray(0, this.#count));
      this.#heights = heights;
      this.#tree = new Float64Array(heights.length + 1);
    }
    this.#heights.fill(height, this.#count, count);
    this.#count = count;
    this.#build();
  }

  #build(): void {
    const tree = this.#tree;
    tree.fill(0);
    for (let at = 1; at < tree.length; at += 1) {
      tree[at] = (tree[at] ?? 0) + (this.#heights[at - 1] ?? 0);
      const up = at + (at & -at);
      if (up < tree.length) tree[up] = (tree[up] ?? 0) + (tree[at] ?? 0);
    }
  }

  of(row: number): number {
    return this.#heights[row] ?? 0;
  }

  set(row: number, height: number): void {
    const change = height - this.of(row);
    if (Math.abs(change) < 0.5) return;
    this.#heights[row] = height;
    for (let at = row + 1; at < this.#tree.length; at += at & -at) this.#tree[at] = (this.#tree[at] ?? 0) + change;
  }

  /** Where a row begins. */
  top(row: number): number {
    let sum = 0;
    for (let at = Math.min(row, this.#count); at > 0; at -= at & -at) sum += this.#tree[at] ?? 0;
    return sum;
  }

  get total(): number {
    return this.top(this.#count);
  }

  /** The row at a place. */
  at(top: number): number {
    let row = 0;
    let left = top;
    for (let step = 2 ** Math.floor(Math.log2(this.#tree.length)); step >= 1; step /= 2) {
      const next = row + step;
      const sum = this.#tree[next];
      if (next < this.#tree.length && sum !== undefined && sum <= left) {
        row = next;
        left -= sum;
      }
    }
    return Math.min(row, Math.max(0, this.#count - 1));
  }
}
