/** For Vernier's own packages and tools; promises nothing to anybody else. */
export {};
