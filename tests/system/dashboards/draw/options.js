// Which options of fields there are. Grafana registers these together with their editors; a picture needs only how they apply.
import {
  displayNameOverrideProcessor, identityOverrideProcessor, numberOverrideProcessor, unitOverrideProcessor,
} from '@grafana/data';

const option = (id, process = identityOverrideProcessor, isCustom = false) => ({
  id, path: id, name: id, isCustom, process, override: () => null, editor: () => null, settings: {}, shouldApply: () => true,
});

export const standardOptions = () => [
  option('displayName', displayNameOverrideProcessor),
  option('unit', unitOverrideProcessor),
  option('decimals', numberOverrideProcessor),
  option('min', numberOverrideProcessor),
  option('max', numberOverrideProcessor),
  ...['noValue', 'color', 'mappings', 'thresholds', 'links'].map((id) => option(id)),
];

// Those of one kind of panel, with their defaults.
export const customOptions = (defaults) => (builder) => {
  for (const [path, defaultValue] of Object.entries(defaults)) {
    builder.addCustomEditor({ ...option(path), path, defaultValue, isCustom: true });
  }
};

export const OF_TABLES = { width: undefined, minWidth: 50, align: 'auto', cellOptions: { type: 'auto' }, wrapText: false, inspect: false, hideFrom: { viz: false } };
export const OF_LINES = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', showPoints: 'auto', pointSize: 5,
  barAlignment: 0, barWidthFactor: 0.6, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto', axisColorMode: 'text', axisLabel: '',
  scaleDistribution: { type: 'linear' }, hideFrom: { legend: false, tooltip: false, viz: false }, thresholdsStyle: { mode: 'off' },
  spanNulls: false, insertNulls: false, axisBorderShow: false, axisCenteredZero: false, lineStyle: { fill: 'solid' },
};
