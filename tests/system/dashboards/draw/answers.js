// Turns responses of Prometheus into the data frames of Grafana's own data source.
import { FieldType, toDataFrame } from '@grafana/data';

const number = (text) => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));
const legend = (format, labels) =>
  format ? format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '') : JSON.stringify(labels);

async function fetchResult(base, path, parameters) {
  const response = await fetch(`${base}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await response.json();
  if (body.status !== 'success') throw new Error(`${body.error}: ${parameters.query}`);
  return body.data.result;
}

// One frame with a column for each label. With several queries, each value column is named after its query.
function table(result, target, several) {
  const names = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map((series) => series.value[0] * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, values: result.map((series) => series.metric[name] ?? '') })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: result.map((series) => number(series.value[1])),
      },
    ],
  });
}

function series(each, target, times) {
  const points = each.values ?? [each.value];
  const found = new Map(points.map(([at, value]) => [at, number(value)]));
  const at = times ?? points.map(([time]) => time);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: at.map((time) => time * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels: each.metric,
        values: at.map((time) => found.get(time) ?? null),
        config: { displayNameFromDS: legend(target.legendFormat, each.metric) },
      },
    ],
  });
}

// The buckets of a histogram as rows of a heatmap: the values between one bound and the next.
function buckets(result, target, times) {
  const sorted = [...result].sort((a, b) => number(a.metric.le) - number(b.metric.le));
  const frames = sorted.map((each) => series(each, { ...target, legendFormat: '{{le}}' }, times));
  const raw = frames.map((frame) => [...frame.fields[1].values]);
  frames.forEach((frame, row) => {
    frame.fields[1].values = raw[row].map((value, at) => (value ?? 0) - (row ? (raw[row - 1][at] ?? 0) : 0));
  });
  return frames;
}

export async function frames(base, panel, fill, { from, to, step }) {
  const several = panel.targets.filter((target) => target.format === 'table').length > 1;
  const made = panel.targets.map(async (target) => {
    const query = fill(target.expr);
    if (!target.range) {
      const result = await fetchResult(base, 'query', { query, time: to });
      return target.format === 'table' ? [table(result, target, several)] : result.map((each) => series(each, target));
    }
    const result = await fetchResult(base, 'query_range', { query, start: from, end: to, step });
    const times = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, place) => from + place * step);
    return target.format === 'heatmap' ? buckets(result, target, times) : result.map((each) => series(each, target, times));
  });
  return (await Promise.all(made)).flat();
}
